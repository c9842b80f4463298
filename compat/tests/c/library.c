/*
 * Calls one function of libkdclient and prints what it returns.
 *
 *   library request NAME | release NAME WAIT | delayed NAME | cancel NAME
 *   library system COMMAND WAIT | route ADDRESS | blanker ON
 *   library send TYPE ROOM TEXT      with KERNELD_WAIT; also prints what came back, and what the
 *                                    byte after the room then holds
 */
#include <linux/kerneld.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int send_and_print(int type, int room, const char *text)
{
	char answer[1024];
	int status;

	memset(answer, '#', sizeof answer);
	status = kerneld_send(type, room | KERNELD_WAIT, strlen(text), text, answer);
	printf("%.*s|%c|", room, answer, answer[room]);
	return status;
}

int main(int argc, char **argv)
{
	const char *what = argc > 2 ? argv[1] : "";
	int wait = argc > 3 ? atoi(argv[3]) : 0;
	int status;

	if (strcmp(what, "request") == 0)
		status = request_module(argv[2]);
	else if (strcmp(what, "release") == 0)
		status = release_module(argv[2], wait);
	else if (strcmp(what, "delayed") == 0)
		status = delayed_release_module(argv[2]);
	else if (strcmp(what, "cancel") == 0)
		status = cancel_release_module(argv[2]);
	else if (strcmp(what, "system") == 0)
		status = ksystem(argv[2], wait);
	else if (strcmp(what, "route") == 0)
		status = kerneld_route(argv[2]);
	else if (strcmp(what, "blanker") == 0)
		status = kerneld_blanker(atoi(argv[2]));
	else if (strcmp(what, "send") == 0 && argc == 5)
		status = send_and_print(atoi(argv[2]), wait, argv[4]);
	else
		return 101;
	printf("%d\n", status);
	return 0;
}
