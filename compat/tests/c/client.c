/*
 * A program as kerneld's clients were written, in one file: what runs under kdrun in the tests.
 * Compiled as gnu89, for i386 and x86-64, static and dynamic, with and without
 * NEW_KERNELD_PROTOCOL.
 *
 *   client open WAY                 opens the channel: prints its id, or the error and exits 1
 *   client ask TYPE TEXT            sends, waits, prints the answer's text; exits with its status
 *   client exec TYPE TEXT           the same after another execve
 *   client fork N TYPE TEXT         the same in N children at once; exits with how many failed
 *   client listen TYPE [N]          answers one message of that type, or N, each with its own text
 *   client as UID WAY               opens as another user
 *   client daemon FILE TYPE TEXT    goes to the background and exits 5; the child asks once FILE
 *                                   exists, and writes the status into FILE.answer
 *   client ordinary                 makes a queue of its own, removes it, prints its id
 *   client again                    after each line read: `ordinary` if it is that word, else `open`
 *
 * WAY: libc, or on i386 also ipc, ipc-versioned (the call number with version bits) and msgget (the
 * system call that i386 has had since Linux 5.1).
 */
#include <linux/kerneld.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#define ROOM 1024

struct room {
	struct kerneld_msg msg;
	char more[ROOM];
};

static int open_channel(const char *way)
{
	int flags = 0600 | IPC_KERNELD;

#ifdef __i386__
	if (strcmp(way, "ipc") == 0)
		return syscall(117, 13, IPC_PRIVATE, flags, 0, 0, 0);
	if (strcmp(way, "ipc-versioned") == 0)
		return syscall(117, (1 << 16) | 13, IPC_PRIVATE, flags, 0, 0, 0);
	if (strcmp(way, "msgget") == 0)
		return syscall(399, IPC_PRIVATE, flags);
#endif
	(void)way;
	return msgget(IPC_PRIVATE, flags);
}

static int say(int id)
{
	if (id < 0)
		printf("%s\n", strerror(errno));
	else
		printf("%d\n", id);
	fflush(stdout);
	return id < 0;
}

static void fail(const char *what)
{
	perror(what);
	exit(100);
}

static int ask(const char *type, const char *text)
{
	int id = open_channel("libc");
	struct room room;
	int got;

	if (id < 0)
		fail("msgget");
	memset(&room, 0, sizeof room);
	room.msg.mtype = atoi(type);
	room.msg.id = 1024 + getpid();
#ifdef NEW_KERNELD_PROTOCOL
	room.msg.version = 2;
	room.msg.pid = getpid();
#endif
	memcpy(room.msg.text, text, strlen(text));
	if (msgsnd(id, (void *)&room, KDHDR + strlen(text), 0) < 0)
		fail("msgsnd");
	do
		got = msgrcv(id, (void *)&room, KDHDR + ROOM, 1024 + getpid(), 0);
	while (got < 0 && errno == EINTR);
	if (got < 0)
		fail("msgrcv");
	printf("%.*s\n", (int)(got - KDHDR), room.msg.text);
	fflush(stdout);
	return room.msg.id;
}

static int ask_in_children(int n, const char *type, const char *text)
{
	int i, status, failed = 0;

	for (i = 0; i < n; i++) {
		pid_t child = fork();

		if (child < 0)
			fail("fork");
		if (child == 0)
			_exit(ask(type, text));
	}
	for (i = 0; i < n; i++) {
		if (wait(&status) < 0)
			fail("wait");
		failed += status != 0;
	}
	/* kdrun's own helpers must not be ours */
	if (wait(&status) != -1 || errno != ECHILD)
		return 99;
	return failed;
}

static int listen_for(const char *type, int times)
{
	int id = open_channel("libc");
	struct room room;
	int got;

	if (id < 0)
		fail("msgget");
	printf("listening\n");
	fflush(stdout);
	while (times-- > 0) {
		got = msgrcv(id, (void *)&room, KDHDR + ROOM, atoi(type), 0);
		if (got < 0)
			fail("msgrcv");
		room.msg.mtype = room.msg.id;
		room.msg.id = 0;
		if (msgsnd(id, (void *)&room, got, 0) < 0)
			fail("msgsnd");
	}
	return 0;
}

static int go_to_background(const char *file, const char *type, const char *text)
{
	char name[1024];
	FILE *out;

	if (fork() != 0)
		_exit(5);
	setsid();
	while (access(file, F_OK) != 0)
		usleep(10000);
	sprintf(name, "%s.answer", file);
	out = fopen(name, "w");
	if (out == NULL)
		fail("fopen");
	fprintf(out, "%d\n", ask(type, text));
	return fclose(out);
}

/* Makes a queue of our own and removes it; its id. */
static int ordinary(void)
{
	int mine = msgget(IPC_PRIVATE, 0600);

	if (mine >= 0 && msgctl(mine, IPC_RMID, NULL) != 0)
		fail("msgctl");
	return mine;
}

static int again(void)
{
	char line[80];

	while (fgets(line, sizeof line, stdin) != NULL)
		say(strcmp(line, "ordinary\n") == 0 ? ordinary() : open_channel("libc"));
	return 0;
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";

	if (argc == 3 && strcmp(what, "open") == 0)
		return say(open_channel(argv[2]));
	if (argc == 4 && strcmp(what, "ask") == 0)
		return ask(argv[2], argv[3]);
	if (argc == 4 && strcmp(what, "exec") == 0) {
		argv[1] = (char *)"ask";
		execv(argv[0], argv);
		fail("execv");
	}
	if (argc == 5 && strcmp(what, "fork") == 0)
		return ask_in_children(atoi(argv[2]), argv[3], argv[4]);
	if ((argc == 3 || argc == 4) && strcmp(what, "listen") == 0)
		return listen_for(argv[2], argc == 4 ? atoi(argv[3]) : 1);
	if (argc == 4 && strcmp(what, "as") == 0) {
		if (setgid(atoi(argv[2])) != 0 || setuid(atoi(argv[2])) != 0)
			fail("setuid");
		return say(open_channel(argv[3]));
	}
	if (argc == 5 && strcmp(what, "daemon") == 0)
		return go_to_background(argv[2], argv[3], argv[4]);
	if (argc == 2 && strcmp(what, "ordinary") == 0)
		return say(ordinary());
	if (argc == 2 && strcmp(what, "again") == 0)
		return again();
	fprintf(stderr, "client: see the head of client.c\n");
	return 101;
}
