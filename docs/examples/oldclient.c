/* The same as programs of 1996 wrote it: oldclient NAME. It needs no library, and kdrun to find the queue. */
#define KERNELD_NO_CLIENT
#include <linux/kerneld.h>
#include <stdio.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <unistd.h>

struct request {
	struct kerneld_msg msg;
	char more[256];
};

int main(int argc, char **argv)
{
	struct request request = { { KERNELD_REQUEST_MODULE, NULL_KDHDR, "" }, "" };
	int queue = msgget(IPC_PRIVATE, 0600 | IPC_KERNELD);

	if (argc != 2 || strlen(argv[1]) >= sizeof(request.more)) {
		fprintf(stderr, "usage: oldclient NAME\n");
		return 2;
	}
	request.msg.id = 256 + getpid(); /* the type of the answer; those up to 255 are requests */
	strcpy(request.msg.text, argv[1]);
	if (queue < 0 || msgsnd(queue, &request, KDHDR + strlen(argv[1]), 0) < 0 ||
	    msgrcv(queue, &request, sizeof(request) - sizeof(long), request.msg.id, 0) < 0) {
		perror("oldclient");
		return 1;
	}
	printf("modprobe exited with %ld\n", request.msg.id);
	return request.msg.id != 0;
}
