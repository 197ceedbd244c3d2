/* A sweep's folder: who holds it, where its coordinator listens. */
#ifndef NERSWEEP_COORDINATOR_PLACE_H
#define NERSWEEP_COORDINATOR_PLACE_H

#include <stdbool.h>

#include "coordinator/coordinator.h"

/* Takes FOLDER/lock for as long as *lock is open. STATUS_BUSY names the holder's host and pid; with take_over *lock is -1 then, and the
 * journal's epochs keep the predecessor out. */
NODISCARD Status place_lock(const char *folder, bool take_over, int *lock, Diagnostic *diagnostic);
void place_unlock(int *lock);

/* Gives the context the keys that these addresses need, going by the options; on return *keys is the folder used, or NULL. The caller frees
 * it. An address that needs keys and has none is refused when it is bound. */
NODISCARD Status place_secure(SocketContext *context, const CoordinatorOptions *options, const char *listen, const char *feed,
                              char **keys, Diagnostic *diagnostic);
/* Removes the endpoint file if it is still that of this epoch. */
void place_remove_endpoint(const char *folder, uint64_t epoch);
NODISCARD Status place_save_sweep(const char *folder, const Sweep *sweep, Diagnostic *diagnostic);

/* A new folder for sockets, of this user alone, with a short path. The caller frees *folder. */
NODISCARD Status place_make_socket_folder(char **folder, Diagnostic *diagnostic);
/* Removes a socket folder that a dead coordinator of this machine left, going by the sweep's endpoint file. */
void place_clean_sockets(const char *sweep_folder);

#endif
