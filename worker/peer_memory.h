/* Memory of other processes of this host, read where it lies: one copy by the kernel, and nothing for the owner to do (Linux, process_vm_readv).
 *
 * Allowed among processes of one user in one process-id namespace, unless the system forbids it (Yama's ptrace_scope, a seccomp filter, other user
 * namespaces): so it has to be tried before it is relied on. */
#ifndef NERSWEEP_WORKER_PEER_MEMORY_H
#define NERSWEEP_WORKER_PEER_MEMORY_H

#include <stddef.h>
#include <stdint.h>

/* A process, and something to find in its memory. */
typedef struct PeerCard {
    int64_t pid;
    uint64_t address; /* of this card in that process */
    uint64_t proof;   /* a number that no other process has there */
} PeerCard;
/* card must stay where it is for as long as others try it. */
void peer_card_fill(PeerCard *card);
/* 0: the process that wrote the card can be read; else an errno: EPERM, ENOSYS, ESRCH for another or no process of that id. */
int peer_card_try(const PeerCard *card);

/* Reads size bytes at an address of process pid. 0, or an errno when not all of them could be read. */
int peer_memory_read(int32_t pid, uint64_t address, void *to, size_t size);

#endif
