// SPDX-License-Identifier: Apache-2.0 OR MIT
/*
 * Addresses of the guest's interfaces. What is set here is a convenience for
 * programs: the switch lets nothing pass that comes from another address.
 */
#include "init.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <net/route.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define INTERFACE "vec0"
#define ADDRESS_PARAMETER "ishare.ipv4="
#define GATEWAY_PARAMETER "ishare.gateway="
#define RESOLVER_PARAMETER "ishare.resolver="
#define RESOLVER_FILE "/etc/resolv.conf"

static void set_address(struct sockaddr *at, struct in_addr value)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr = value };

	memcpy(at, &address, sizeof(address));
}

static bool bring_up(int fd, const char *name)
{
	struct ifreq request = { .ifr_flags = IFF_UP | IFF_RUNNING };

	strncpy(request.ifr_name, name, IFNAMSIZ - 1);
	return ioctl(fd, SIOCSIFFLAGS, &request) == 0;
}

void start_loopback(void)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || !bring_up(fd, "lo"))
		report("loopback: %s", strerror(errno));
	if (fd >= 0)
		close(fd);
}

/* `text`: 10.83.1.1/16 */
static bool parse_address(char *text, struct in_addr *address, struct in_addr *mask)
{
	char *slash = strchr(text, '/');
	long length = slash ? strtol(slash + 1, NULL, 10) : 0;

	if (length < 1 || length > 32)
		return false;
	*slash = '\0';
	mask->s_addr = htonl(UINT32_MAX << (32 - length));
	return inet_pton(AF_INET, text, address) == 1;
}

static bool give_address(int fd, struct in_addr address, struct in_addr mask)
{
	struct ifreq request = { .ifr_name = INTERFACE };

	set_address(&request.ifr_addr, address);
	if (ioctl(fd, SIOCSIFADDR, &request) < 0)
		return false;
	set_address(&request.ifr_netmask, mask);
	return ioctl(fd, SIOCSIFNETMASK, &request) == 0 && bring_up(fd, INTERFACE);
}

static bool route_through(int fd, struct in_addr gateway)
{
	struct rtentry route = { .rt_flags = RTF_UP | RTF_GATEWAY };

	set_address(&route.rt_dst, (struct in_addr){ 0 });
	set_address(&route.rt_genmask, (struct in_addr){ 0 });
	set_address(&route.rt_gateway, gateway);
	return ioctl(fd, SIOCADDRT, &route) == 0;
}

/* What the image brings is somebody else's network. */
static void name_resolver(const char *address)
{
	char line[96];
	int length = snprintf(line, sizeof(line), "nameserver %s\n", address);
	int fd;

	unlink(RESOLVER_FILE);
	fd = open(RESOLVER_FILE, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
	if (fd < 0 || write(fd, line, length) != length)
		report(RESOLVER_FILE ": %s", strerror(errno));
	if (fd >= 0)
		close(fd);
}

void start_network(void)
{
	char text[64];
	struct in_addr address, mask, gateway;
	int fd;

	if (!parameter_text(ADDRESS_PARAMETER, text, sizeof(text)))
		return;
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || !parse_address(text, &address, &mask) || !give_address(fd, address, mask))
		report(INTERFACE ": %s", strerror(errno));
	else if (parameter_text(GATEWAY_PARAMETER, text, sizeof(text)) &&
		 (inet_pton(AF_INET, text, &gateway) != 1 || !route_through(fd, gateway)))
		report("default route: %s", strerror(errno));
	if (fd >= 0)
		close(fd);
	if (parameter_text(RESOLVER_PARAMETER, text, sizeof(text)))
		name_resolver(text);
}
