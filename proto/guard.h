/* Inside proto/ only: the thread of a context that listens. It says which keys may connect (ZAP), and closes the connections that are too
 * many, also while the program's own loop waits for a disk. */
#ifndef NERSWEEP_PROTO_GUARD_H
#define NERSWEEP_PROTO_GUARD_H

#include "proto/socket.h"

typedef struct Guard Guard;

/* ZAP domains: what a socket that listens is for. */
#define GUARD_FEED "feed"
#define GUARD_REQUESTS "requests"

/* keys_folder: NULL where there are no keys, and connections are only counted. The context must outlive the guard. */
NODISCARD Status guard_start(Guard **guard, void *zmq_context, const char *keys_folder, int connections, Diagnostic *diagnostic);
void guard_stop(Guard **guard); /* after the sockets that it watches are closed */
NODISCARD Status guard_watch(Guard *guard, void *zmq_context, void *zmq_socket, size_t *place, Diagnostic *diagnostic);
void guard_unwatch(Guard *guard, void *zmq_socket, size_t place); /* before it is closed */
KeyRole guard_role(Guard *guard, const char *public_key);         /* by the list as it is now */
void guard_counts(Guard *guard, SocketCounts *counts);

/* A PAIR that gets the wanted events of a socket (ZMQ_EVENT_...). */
NODISCARD Status monitor_open(void **events, void *zmq_context, void *zmq_socket, int wanted, Diagnostic *diagnostic);
/* Never waits. false: there is none. */
bool monitor_next(void *events, uint16_t *event, uint32_t *value);

bool guard_more_parts(void *zmq_socket);
/* Reads the rest of a message away. */
void guard_skip_parts(void *zmq_socket);

#endif
