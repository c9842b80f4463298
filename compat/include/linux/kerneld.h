/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * <linux/kerneld.h> for programs that still speak kerneld: compile with -I on the directory above
 * this one. Names, values and layouts are those of the header of that name in Linux 1.3.57 to
 * 2.1.89; the text is new.
 *
 * Define before including:
 *   NEW_KERNELD_PROTOCOL  for messages that carry a version and the sender's pid (as the historical
 *                         header had it)
 *   KERNELD_NO_CLIENT     when the program has functions of its own by the names declared last
 */
#ifndef _LINUX_KERNELD_H
#define _LINUX_KERNELD_H

/* Commands: the message type of a request. kerneld itself takes 1 to 255. */
#define KERNELD_SYSTEM 1
#define KERNELD_REQUEST_MODULE 2
#define KERNELD_RELEASE_MODULE 3
#define KERNELD_DELAYED_RELEASE_MODULE 4
#define KERNELD_CANCEL_RELEASE_MODULE 5
#define KERNELD_REQUEST_ROUTE 6
#define KERNELD_BLANKER 7
#define KERNELD_PNP 8 /* Linux 2.1 only */
#define KERNELD_ARP 256 /* taken by arpd, not by kerneld */

#define KERNELD_MAXCMD 0x7ffeffff /* the highest command */
#define KERNELD_MINSEQ 0x7fff0000 /* the kernel's own answer types begin above this */

/* In the ret_size of kerneld_send: whether to wait for the answer. */
#define KERNELD_WAIT 0x80000000
#define KERNELD_NOWAIT 0

/*
 * IPC_KERNELD: the flag of msgget() that asks for the kerneld queue.
 * KDHDR: bytes of a message's text before `text`.
 * NULL_KDHDR: an initialiser for the fields from `id` up to `text`.
 */
#ifdef NEW_KERNELD_PROTOCOL
#define OLDIPC_KERNELD 00040000
#define IPC_KERNELD 00140000
#define KDHDR (sizeof(long) + sizeof(short) + sizeof(short))
#define NULL_KDHDR 0, 2, 0
#else
#define IPC_KERNELD 00040000
#define KDHDR (sizeof(long))
#define NULL_KDHDR 0
#endif

/* A message as msgsnd() and msgrcv() take it. The text goes on past its one declared byte, and is
 * not NUL-terminated. */
struct kerneld_msg {
	long mtype; /* the command; in an answer, the request's id */
	long id;    /* 0: no answer wanted; in an answer, the status */
#ifdef NEW_KERNELD_PROTOCOL
	short version; /* 2 */
	short pid;     /* the low 16 bits of the sender's */
#endif
	char text[1];
};

#ifndef KERNELD_NO_CLIENT
/*
 * What was there for code inside the kernel, here for programs: link with -lkdclient. The results
 * are the historical ones. A function that waits returns the status of the answer: the helper's
 * exit code (0: done), or a negative errno: -ENODEV when no daemon serves the queue, -EACCES when
 * the queue is not open to this user. One that does not wait returns 0 once the request is on its
 * way.
 */
#ifdef __cplusplus
extern "C" {
#endif

/*
 * Sends command `msgtype` with `msgsz` bytes of `text`. With KERNELD_WAIT or-ed to `ret_size`, waits
 * for the answer and puts up to the other bits' number of bytes of its text into `ret_val`, which
 * may be NULL (and is written to, const or not: so it was declared).
 */
int kerneld_send(int msgtype, int ret_size, int msgsz, const char *text, const char *ret_val);

int request_module(const char *name);                   /* loads; waits */
int release_module(const char *name, int waitflag);     /* unloads */
int delayed_release_module(const char *name);           /* unloads after the daemon's delay */
int cancel_release_module(const char *name);            /* takes the former back */
int ksystem(const char *cmd, int waitflag);             /* a command of the daemon's list */
int kerneld_route(const char *ip_route);                /* asks for a route; waits */
int kerneld_blanker(int on_off);                        /* 0: off, waits; else on */

#ifdef __cplusplus
}
#endif
#endif /* KERNELD_NO_CLIENT */

#endif
