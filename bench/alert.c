// SPDX-License-Identifier: Apache-2.0 OR MIT
/*
 * Acts for whoever asks, one for each line: "time" prints the guest's clock, nanoseconds since 1970; any other word is
 * given to a program that does nothing, which a rule of the bench tells.
 */
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	char word[64];
	struct timespec t;

	if (argc > 1)
		return 0;
	while (scanf("%63s", word) == 1) {
		if (strcmp(word, "time")) {
			if (!vfork()) {
				execl(argv[0], "alerting", word, NULL);
				_exit(1);
			}
			wait(NULL);
			continue;
		}
		clock_gettime(CLOCK_REALTIME, &t);
		printf("%lld%09ld\n", (long long)t.tv_sec, t.tv_nsec);
		fflush(stdout);
	}
	return 0;
}
