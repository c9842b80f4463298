/* client.c in the new protocol, for those who compile without flags. */
#define NEW_KERNELD_PROTOCOL
#include "client.c"
