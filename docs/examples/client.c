/* The smallest program that asks the daemon for a module: client NAME. Link with -lkdclient. */
#include <linux/kerneld.h>
#include <stdio.h>
#include <string.h>

int main(int argc, char **argv)
{
	int status;

	if (argc != 2) {
		fprintf(stderr, "usage: client NAME\n");
		return 2;
	}
	status = request_module(argv[1]); /* modprobe's exit status, or a negative errno */
	if (status < 0)
		fprintf(stderr, "client: %s\n", strerror(-status));
	else
		printf("modprobe exited with %d\n", status);
	return status != 0;
}
