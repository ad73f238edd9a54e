// SPDX-License-Identifier: Apache-2.0 OR MIT
/*
 * Times a null system call and a fork+wait, prints nanoseconds each. As PID 1 of a guest it powers off at the end.
 * Prints ten lines: "null_call NS fork NS". With the argument `halt` it powers off at once.
 */
#include <stdio.h>
#include <string.h>
#include <sys/reboot.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static long long now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static long long null_call(int rounds)
{
	long long start = now();

	for (int i = 0; i < rounds; i++)
		syscall(SYS_getppid);
	return (now() - start) / rounds;
}

static long long fork_wait(int rounds)
{
	long long start = now();

	for (int i = 0; i < rounds; i++) {
		pid_t pid = fork();

		if (pid == 0)
			_exit(0);
		if (pid < 0)
			return -1;
		waitpid(pid, NULL, 0);
	}
	return (now() - start) / rounds;
}

int main(int argc, char **argv)
{
	int is_asked = argc < 2 || strcmp(argv[1], "halt") != 0;

	null_call(is_asked ? 1000 : 1);
	for (int sample = 0; is_asked && sample < 10; sample++)
		printf("null_call %lld fork %lld\n", null_call(5000), fork_wait(100));
	fflush(stdout);
	if (getpid() == 1)
		reboot(RB_POWER_OFF);
	return 0;
}
