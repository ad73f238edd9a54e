/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Records: what Kernort writes down, one event each. The binary interface; docs/formats/sealed-log.md section 5.
 *
 * A record is a header, the fields of its kind, then the kind's tails: byte strings, each behind its length as a
 * u32. The whole is padded with zeros to a multiple of eight. All numbers are little-endian, which is what every
 * machine that runs this kernel has.
 *
 * The kinds are one table, from which come the numbers, the structures, the checks of their sizes, and what the
 * harness prints for the reader's twin (soda-host/logs/record-layout.ts) to be compared with.
 */
#ifndef KERNORT_RECORD_H
#define KERNORT_RECORD_H

#include "kernort_env.h"

/* A longer record is cut by whoever writes it, and says so by KERNORT_RECORD_CUT. */
#define KERNORT_RECORD_SIZE_MAX 32768
#define KERNORT_RECORD_TAILS_MAX 3
#define KERNORT_RECORD_CUT 0x0001

struct kernort_record_header {
	u32 size; /* of all of it, header and padding too */
	u16 kind;
	u16 flags;
	u64 number; /* counts within a boot, from 0, shed records not counted */
	u64 monotonic_ns; /* since the boot */
	u64 realtime_ns; /* the guest's clock, which its root may set */
	u32 pid; /* whose act it was; 0: the kernel's */
	u32 uid;
	char comm[16]; /* its name, padded with zeros */
};
static_assert(sizeof(struct kernort_record_header) == 56);

struct kernort_bytes16 {
	u8 bytes[16];
};

struct kernort_bytes32 {
	u8 bytes[32];
};

/*
 * X(name, number, size of the fields, how many tails, list of both)
 *
 * Numbers are never given twice. A new field makes a new kind.
 */
#define KERNORT_KINDS(X) \
	X(boot, 1, 8, 2, KERNORT_BOOT) \
	X(shutdown, 2, 8, 0, KERNORT_SHUTDOWN) \
	X(clock, 3, 8, 0, KERNORT_CLOCK) \
	X(shed, 4, 24, 0, KERNORT_SHED) \
	X(exec, 16, 48, 3, KERNORT_EXEC) \
	X(fork, 17, 16, 0, KERNORT_FORK) \
	X(exit, 18, 8, 0, KERNORT_EXIT) \
	X(cred, 19, 40, 0, KERNORT_CRED) \
	X(socket, 20, 24, 0, KERNORT_SOCKET) \
	X(file, 21, 16, 1, KERNORT_FILE) \
	X(mount, 22, 16, 3, KERNORT_MOUNT) \
	X(ptrace, 23, 16, 0, KERNORT_PTRACE) \
	X(signal, 24, 16, 0, KERNORT_SIGNAL) \
	X(local, 25, 8, 1, KERNORT_LOCAL) \
	X(namespace, 26, 16, 0, KERNORT_NAMESPACE) \
	X(tty, 32, 16, 1, KERNORT_TTY) \
	X(klog, 33, 8, 1, KERNORT_KLOG) \
	X(syslog, 34, 8, 1, KERNORT_SYSLOG) \
	X(snapshot, 35, 16, 1, KERNORT_SNAPSHOT) \
	X(alert, 48, 16, 2, KERNORT_ALERT)

/* F(type, name) for every field, T(name) for every tail, in order. */
#define KERNORT_BOOT(F, T) F(u32, abi) F(u32, boot_number) T(kernel) T(command_line)
/* reason: 0 unknown, 1 power off, 2 restart, 3 halt, 4 panic */
#define KERNORT_SHUTDOWN(F, T) F(u32, reason) F(u32, reserved)
/* The realtime clock left the monotonic one behind by this much: forward is positive. */
#define KERNORT_CLOCK(F, T) F(s64, step_ns)
/* How many records of a class (enum kernort_class) were shed, and their bytes, since the last such record. */
#define KERNORT_SHED(F, T) F(u32, class) F(u32, reserved) F(u64, records) F(u64, bytes)
#define KERNORT_EXEC(F, T)                                                    \
	F(u32, parent) F(u32, arguments_count) F(u32, euid) F(u32, is_setuid) \
	F(kernort_bytes32, environment_sha256) T(path) T(arguments) T(ancestry)
#define KERNORT_FORK(F, T) F(u32, parent) F(u32, child) F(u64, clone_flags)
/* status as wait(2) has it */
#define KERNORT_EXIT(F, T) F(u32, parent) F(u32, status)
/* gid: the effective one; capabilities: the effective ones */
#define KERNORT_CRED(F, T)                                            \
	F(u32, uid_before) F(u32, uid_after) F(u32, euid_before)      \
	F(u32, euid_after) F(u32, gid_before) F(u32, gid_after)       \
	F(u64, capabilities_before) F(u64, capabilities_after)
/* operation: 1 connect, 2 bind, 3 listen, 4 accept; an IPv4 address fills the first four bytes */
#define KERNORT_SOCKET(F, T)                                     \
	F(u16, operation) F(u16, family) F(u16, type) F(u16, port) \
	F(kernort_bytes16, address)
/* operation: 1 open for reading, 2 for writing, 3 removed, 4 renamed to this, 5 linked, 6 mode or owner, 7 cut short */
#define KERNORT_FILE(F, T) F(u32, operation) F(u32, mode) F(u64, inode) T(path)
/* operation: 1 mount, 2 unmount, 3 remount, 4 move, 5 pivot of the root */
#define KERNORT_MOUNT(F, T) F(u32, operation) F(u32, reserved) F(u64, flags) T(source) T(target) T(type)
/* mode: PTRACE_MODE_* of the kernel; 0: the process lets its parent trace it */
#define KERNORT_PTRACE(F, T) F(u32, target) F(u32, target_uid) F(u32, mode) F(u32, reserved)
#define KERNORT_SIGNAL(F, T) F(u32, target) F(u32, target_uid) F(u32, signal) F(u32, reserved)
/* A Unix socket; operation as in socket. Path as bind(2) has it: one that begins with a zero byte is abstract. */
#define KERNORT_LOCAL(F, T) F(u16, operation) F(u16, type) F(u32, reserved) T(path)
/* operation: 1 unshared, 2 entered; flags as clone(2) has them */
#define KERNORT_NAMESPACE(F, T) F(u32, operation) F(u32, reserved) F(u64, flags)
/* direction: 1 typed, 2 shown, 3 resized; device as major << 20 | minor */
#define KERNORT_TTY(F, T)                                           \
	F(u32, device) F(u32, session) F(u16, direction) F(u16, columns) \
	F(u16, rows) F(u16, reserved) T(data)
#define KERNORT_KLOG(F, T) F(u32, level) F(u32, facility) T(text)
#define KERNORT_SYSLOG(F, T) F(u32, priority) F(u32, reserved) T(text)
/* topic: 1 processes, 2 sockets, 3 load; parts: 0 while more follow; cause: 0 the time, else the sid of an alert */
#define KERNORT_SNAPSHOT(F, T) F(u32, topic) F(u32, part) F(u32, parts) F(u32, cause) T(text)
/* severity: 1 is the gravest */
#define KERNORT_ALERT(F, T) F(u32, gid) F(u32, sid) F(u32, revision) F(u32, severity) T(message) T(evidence)

#define KERNORT_FIELD_OF_STRUCT(type, name) KERNORT_TYPE_##type name;
#define KERNORT_NO_TAIL(name)
#define KERNORT_TYPE_u16 u16
#define KERNORT_TYPE_u32 u32
#define KERNORT_TYPE_u64 u64
#define KERNORT_TYPE_s64 s64
#define KERNORT_TYPE_kernort_bytes16 struct kernort_bytes16
#define KERNORT_TYPE_kernort_bytes32 struct kernort_bytes32

#define KERNORT_STRUCT(name, number, size, tails, LIST)                \
	struct kernort_##name {                                        \
		LIST(KERNORT_FIELD_OF_STRUCT, KERNORT_NO_TAIL)         \
	};                                                             \
	static_assert(sizeof(struct kernort_##name) == (size) && (tails) <= KERNORT_RECORD_TAILS_MAX);
KERNORT_KINDS(KERNORT_STRUCT)
#undef KERNORT_STRUCT

enum kernort_kind {
#define KERNORT_NUMBER(name, number, size, tails, LIST) KERNORT_KIND_##name = (number),
	KERNORT_KINDS(KERNORT_NUMBER)
#undef KERNORT_NUMBER
};

/* What is shed first when memory runs short is last here. */
enum kernort_class {
	KERNORT_CLASS_ALERT, /* alert, boot, shutdown, clock, shed */
	KERNORT_CLASS_PROCESS, /* exec, cred, mount, ptrace, socket, signal, local, namespace */
	KERNORT_CLASS_DETAIL, /* fork, exit, file, syslog, klog, snapshot */
	KERNORT_CLASS_BULK, /* tty */
	KERNORT_CLASSES
};

#endif
