// SPDX-License-Identifier: Apache-2.0 OR MIT
#include "init.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define IMAGE_DEVICE "/dev/ubda"
#define LAYER_DEVICE "/dev/ubdb"
#define BOOT_PARAMETER "ishare.boot="
#define BOOT_MARK "booted-"
#define PROCESSES_PARAMETER "ishare.processes="
#define PROCESSES_DEFAULT 1024
#define NICE_INIT (-20)
#define THRASHING_SETTING "/sys/kernel/mm/lru_gen/min_ttl_ms"
/*
 * Programs that lose what they used this recently thrash. Longer, and one that only
 * writes a large file is killed too: with 500 ms a dd onto the disk was.
 */
#define WORKING_SET_MS 20

void report(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	dprintf(STDERR_FILENO, "init: ");
	vdprintf(STDERR_FILENO, format, arguments);
	dprintf(STDERR_FILENO, "\n");
	va_end(arguments);
}

void power_off(void)
{
	sync();
	reboot(RB_POWER_OFF);
	for (;;)
		pause();
}

void die(const char *what)
{
	report("%s: %s", what, strerror(errno));
	power_off();
}

static void make_directory(const char *path, mode_t mode)
{
	if (mkdir(path, mode) < 0 && errno != EEXIST)
		die(path);
}

static void mount_on(const char *type, const char *source, const char *target,
		     unsigned long flags, const char *options)
{
	make_directory(target, 0755);
	if (mount(source, target, type, flags, options) < 0)
		die(target);
}

static void write_setting(const char *path, long value)
{
	FILE *file = fopen(path, "w");

	if (!file || fprintf(file, "%ld\n", value) < 0 || fclose(file) != 0)
		report("%s: %s", path, strerror(errno));
}

/* Only where a further guest may take over the layer. */
static bool is_layer_kept;

/*
 * A root of the guest that reboots it must not run the program twice: every
 * guest leaves its number in the layer, and one that finds its own there ends.
 * Numbers of earlier ones are of no more use.
 */
static void mark_layer(const char *number)
{
	char name[64];
	struct dirent *entry;
	DIR *layer;

	snprintf(name, sizeof(name), "/layer/" BOOT_MARK "%s", number);
	if (mkdir(name, 0700) < 0)
		die("this guest has been booted before");
	layer = opendir("/layer");
	while (layer && (entry = readdir(layer))) {
		const char *mark = entry->d_name;

		if (!strncmp(mark, BOOT_MARK, strlen(BOOT_MARK)) &&
		    strcmp(mark + strlen(BOOT_MARK), number) != 0)
			unlinkat(dirfd(layer), mark, AT_REMOVEDIR);
	}
	if (layer)
		closedir(layer);
}

void secure_layer(void)
{
	if (is_layer_kept || upload_sequence() > 0)
		sync();
}

/* The image below, the server's own layer above; both out of sight afterwards. */
static void mount_root(void)
{
	char number[24] = "0";

	mount_on("proc", "proc", "/proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL);
	is_layer_kept = parameter_text(BOOT_PARAMETER, number, sizeof(number));
	mount_on("squashfs", IMAGE_DEVICE, "/image", MS_RDONLY | MS_NODEV, NULL);
	mount_on("ext4", LAYER_DEVICE, "/layer", MS_NOATIME | MS_NODEV, NULL);
	mark_layer(number);
	make_directory("/layer/upper", 0755);
	make_directory("/layer/work", 0755);
	mount_on("overlay", "overlay", "/root", MS_NOATIME,
		 "lowerdir=/image,upperdir=/layer/upper,workdir=/layer/work");
	umount("/proc");
}

/*
 * Memory file systems are bounded such that all of them full leave room to
 * run: a full one is the program's trouble, not the guest's end.
 */
static void mount_inside(void)
{
	mount_on("proc", "proc", "/root/proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL);
	mount_on("sysfs", "sysfs", "/root/sys", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL);
	mount_on("devtmpfs", "devtmpfs", "/root/dev", MS_NOSUID, "mode=0755,size=1m");
	mount_on("devpts", "devpts", "/root/dev/pts", MS_NOSUID | MS_NOEXEC,
		 "gid=5,mode=620,ptmxmode=666");
	mount_on("tmpfs", "shm", "/root/dev/shm", MS_NOSUID | MS_NODEV, "mode=1777,size=20%");
	mount_on("tmpfs", "tmp", "/root/tmp", MS_NOSUID | MS_NODEV, "mode=1777,size=20%");
	mount_on("tmpfs", "run", "/root/run", MS_NOSUID | MS_NODEV, "mode=0755,size=5%");
	/* Absent where the kernel has no security file system. */
	mount("securityfs", "/root/sys/kernel/security", "securityfs",
	      MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL);
	symlink("/proc/self/fd", "/root/dev/fd");
	symlink("/proc/self/fd/0", "/root/dev/stdin");
	symlink("/proc/self/fd/1", "/root/dev/stdout");
	symlink("/proc/self/fd/2", "/root/dev/stderr");
}

static void change_root(void)
{
	if (chdir("/root") < 0 || mount(".", "/", NULL, MS_MOVE, NULL) < 0 || chroot(".") < 0)
		die("change of root");
	if (chdir("/") < 0)
		die("/");
	make_directory(WORK_DIRECTORY, 0755);
	make_directory(OUT_DIRECTORY, 0755);
}

bool parameter_text(const char *name, char *text, size_t size)
{
	char line[4096], *found;
	int fd = open("/proc/cmdline", O_RDONLY | O_CLOEXEC);
	ssize_t length = fd < 0 ? -1 : read(fd, line, sizeof(line) - 1);
	size_t end;

	if (fd >= 0)
		close(fd);
	if (length < 0)
		return false;
	line[length] = '\0';
	found = strstr(line, name);
	if (!found)
		return false;
	found += strlen(name);
	end = strcspn(found, " \n");
	if (end >= size)
		return false;
	memcpy(text, found, end);
	text[end] = '\0';
	return true;
}

/* A number from the kernel's command line. */
static long parameter(const char *name, long fallback)
{
	char text[32];
	long value = parameter_text(name, text, sizeof(text)) ? strtol(text, NULL, 10) : 0;

	return value > 0 ? value : fallback;
}

static long count_processes(void)
{
	DIR *directory = opendir("/proc");
	struct dirent *entry;
	long count = 0;

	while (directory && (entry = readdir(directory)))
		count += entry->d_name[0] >= '1' && entry->d_name[0] <= '9';
	if (directory)
		closedir(directory);
	return count;
}

/*
 * The limit holds for the whole guest: rlimits do not bind its root, who is
 * whom programs run as.
 */
static void limit_processes(void)
{
	long processes = parameter(PROCESSES_PARAMETER, PROCESSES_DEFAULT);
	struct rlimit limit = { .rlim_cur = (rlim_t)processes, .rlim_max = (rlim_t)processes };

	write_setting("/proc/sys/kernel/threads-max",
		      count_processes() + processes + PROCESSES_RESERVE);
	if (setrlimit(RLIMIT_NPROC, &limit) < 0)
		report("processes: %s", strerror(errno));
}

/* Last to be killed and first to run: only init can end what goes wrong. */
static void protect_init(void)
{
	write_setting("/proc/self/oom_score_adj", -1000);
	if (setpriority(PRIO_PROCESS, 0, NICE_INIT) < 0)
		report("priority: %s", strerror(errno));
}

/*
 * A program that needs more memory than there is evicts its own code and reads
 * it again, for ever: too much progress for the kernel's out-of-memory killer.
 * Its multi-generational LRU can be told that what was used within this time
 * must stay, or something must go.
 * See Documentation/admin-guide/mm/multigen_lru.rst, "Thrashing prevention".
 */
static void prevent_thrashing(void)
{
	if (access(THRASHING_SETTING, F_OK) == 0)
		write_setting(THRASHING_SETTING, WORKING_SET_MS);
	else
		report("no guard against thrashing in this kernel");
}

static void name_host(void)
{
	char name[32] = "guest-";
	int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);

	if (fd < 0 || read(fd, name + 6, 8) != 8)
		report("host name: %s", strerror(errno));
	if (fd >= 0)
		close(fd);
	if (sethostname(name, strlen(name)) < 0)
		report("host name: %s", strerror(errno));
}

void boot(void)
{
	umask(022);
	mount_on("devtmpfs", "devtmpfs", "/dev", MS_NOSUID, NULL);
	mount_root();
	mount_inside();
	change_root();
	limit_processes();
	protect_init();
	prevent_thrashing();
	name_host();
	start_loopback();
	start_network();
}
