/*
 * Does not compile unless the header has the historical names, values, layout and prototypes. For
 * every C since gnu89 and for C++: so a check is an array that would have a negative size.
 */
#include <linux/kerneld.h>
#include <linux/kerneld.h> /* twice does no harm */

#include <stddef.h>

#define CHECK(name, truth) typedef char name[(truth) ? 1 : -1]; extern name *use_##name

CHECK(commands_1, KERNELD_SYSTEM == 1 && KERNELD_REQUEST_MODULE == 2 && KERNELD_RELEASE_MODULE == 3);
CHECK(commands_2, KERNELD_DELAYED_RELEASE_MODULE == 4 && KERNELD_CANCEL_RELEASE_MODULE == 5);
CHECK(commands_3, KERNELD_REQUEST_ROUTE == 6 && KERNELD_BLANKER == 7 && KERNELD_PNP == 8);
CHECK(commands_4, KERNELD_ARP == 256 && KERNELD_MAXCMD == 0x7ffeffff && KERNELD_MINSEQ == 0x7fff0000);
CHECK(waiting, KERNELD_WAIT == 0x80000000 && KERNELD_NOWAIT == 0);
CHECK(id_follows_type, offsetof(struct kerneld_msg, id) == sizeof(long));
CHECK(text_follows_header, offsetof(struct kerneld_msg, text) == sizeof(long) + KDHDR);

#ifdef NEW_KERNELD_PROTOCOL
CHECK(flags, IPC_KERNELD == 00140000 && OLDIPC_KERNELD == 00040000);
CHECK(header, KDHDR == sizeof(long) + 4);
CHECK(version_follows_id, offsetof(struct kerneld_msg, version) == 2 * sizeof(long));
CHECK(pid_follows_version, offsetof(struct kerneld_msg, pid) == 2 * sizeof(long) + 2);
#else
CHECK(flags, IPC_KERNELD == 00040000);
CHECK(header, KDHDR == sizeof(long));
#endif

/* As the old programs initialise one. */
struct kerneld_msg message = { KERNELD_SYSTEM, NULL_KDHDR, "" };

#ifdef KERNELD_NO_CLIENT
/* The names are the program's own. */
static int request_module(void) { return 0; }
int (*own)(void) = request_module;
#else
int (*send)(int, int, int, const char *, const char *) = kerneld_send;
int (*request)(const char *) = request_module;
int (*release)(const char *, int) = release_module;
int (*delayed)(const char *) = delayed_release_module;
int (*cancel)(const char *) = cancel_release_module;
int (*command)(const char *, int) = ksystem;
int (*route)(const char *) = kerneld_route;
int (*blanker)(int) = kerneld_blanker;
#endif
