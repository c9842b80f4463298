/*
 * Runs a program as on a kernel without seccomp user notification, or with an early one: system
 * calls that such a kernel does not know fail as they do there.
 *
 *   oldkernel none PROGRAM [ARG...]    no seccomp(2) at all: ENOSYS (before Linux 3.17)
 *   oldkernel early PROGRAM [ARG...]   no SECCOMP_IOCTL_NOTIF_ADDFD: EINVAL (before Linux 5.9)
 */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define NOTIF_ADDFD 0x40182103u /* SECCOMP_IOCTL_NOTIF_ADDFD: absent from old headers */
#define LOAD(field) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
#define IF(value, then, otherwise) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, then, otherwise)
#define RETURN(action) BPF_STMT(BPF_RET | BPF_K, action)

int main(int argc, char **argv)
{
	struct sock_filter none[] = {
		LOAD(nr), IF(SYS_seccomp, 0, 1), RETURN(SECCOMP_RET_ERRNO | ENOSYS),
		RETURN(SECCOMP_RET_ALLOW),
	};
	struct sock_filter early[] = {
		LOAD(nr), IF(SYS_ioctl, 0, 3), LOAD(args[1]), IF(NOTIF_ADDFD, 0, 1),
		RETURN(SECCOMP_RET_ERRNO | EINVAL), RETURN(SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { sizeof none / sizeof none[0], none };

	if (argc < 3)
		return 101;
	if (strcmp(argv[1], "early") == 0) {
		program.len = sizeof early / sizeof early[0];
		program.filter = early;
	}
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0) {
		perror("oldkernel");
		return 102;
	}
	execv(argv[2], argv + 2);
	perror(argv[2]);
	return 103;
}
