/**
 * The guest's end of the cable: a raw socket on a veth, opened while the chain of the jail is still root, and
 * inherited by the guest kernel, which needs no privilege to use it.
 *
 * Attacker: a guest kernel that was taken over. It can bind a packet socket to another interface, or set options by
 * which frames go round a queueing discipline; both without privileges. So the socket belongs to a network namespace
 * that holds nothing but the guest's end: there is no other interface to bind to, and everything that decides
 * stands on the other side of the cable.
 *
 * Perl, because opening such a socket and keeping it over exec needs a program, and perl-base is essential on
 * Debian. Checksums and segmentation are switched off on the bridge's end, so that the guest gets whole frames with
 * whole checksums whoever sends them: its socket carries no offload headers, by which it could confuse the host.
 */
import { GUEST_END } from './addresses.ts'
import { namespacePath } from './commands.ts'

/** Numbers of Linux on x86_64. @see packet(7), setns(2), linux/ethtool.h, asm-generic/socket.h */
const OPENER = String.raw`
use strict; my ($ours, $theirs, $port, $end, $fd) = splice(@ARGV, 0, 5); $^F = 1000;
sub enter { syscall(308, fileno($_[0]), 0x40000000) == 0 or die "setns: $!\n" }
sub namespace { open(my $file, '<', $_[0]) or die "$_[0]: $!\n"; $file }
my $home = namespace('/proc/self/ns/net');
enter(namespace($ours));
socket(my $any, 2, 2, 0) or die "socket: $!\n";
my $off = pack('LL', 0x17, 0);
ioctl($any, 0x8946, pack('a16P8x16', $port, $off)) or die "checksums of $port: $!\n";
enter(namespace($theirs));
socket(my $raw, 17, 3, 0) or die "packet socket: $!\n";
ioctl($raw, 0x8933, my $request = pack('a16x24', $end)) or die "$end: $!\n";
my $index = unpack('x16i', $request);
setsockopt($raw, 263, 23, pack('i', 1)) or die "own frames: $!\n";
setsockopt($raw, 1, $_, pack('i', 1048576)) or die "buffer: $!\n" for (32, 33);
bind($raw, pack('SniSCCa8', 17, 3, $index, 0, 0, 0, '')) or die "bind: $!\n";
enter($home);
close($home); close($any);
if (fileno($raw) != $fd) { syscall(33, fileno($raw), $fd + 0) >= 0 or die "dup2: $!\n"; close($raw) }
exec { $ARGV[0] } @ARGV or die "$ARGV[0]: $!\n";
`

export interface PortSocketSpec {
  switchNamespace: string
  portNamespace: string
  /** The bridge's end, in the switch's namespace. */
  interface: string
}

/** A command that opens the socket on descriptor `fd` and becomes the command that follows it. */
export function portSocketCommand(spec: PortSocketSpec, fd: number): string[] {
  const paths = [namespacePath(spec.switchNamespace), namespacePath(spec.portNamespace)]
  return ['perl', '-e', OPENER, ...paths, spec.interface, GUEST_END, String(fd)]
}
