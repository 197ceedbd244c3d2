#include "worker/peer_memory.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "core/base/clock.h"

void peer_card_fill(PeerCard *card)
{
    const Clock *clock = clock_system();
    *card = (PeerCard){.pid = getpid(), .address = (uintptr_t)card};
    card->proof = (uint64_t)clock->monotonic_ns(clock->context) ^ card->address << 16 ^ (uint64_t)card->pid << 40;
}

int peer_card_try(const PeerCard *card)
{
    PeerCard seen;
    if (card->pid <= 0 || card->pid > INT32_MAX)
        return ESRCH;
    int failed = peer_memory_read((int32_t)card->pid, card->address, &seen, sizeof seen);
    return failed ? failed : memcmp(&seen, card, sizeof seen) == 0 ? 0 : ESRCH;
}

int peer_memory_read(int32_t pid, uint64_t address, void *to, size_t size)
{
    for (size_t done = 0; done < size;) {
        struct iovec own = {(char *)to + done, size - done}, foreign = {(void *)(uintptr_t)(address + done), size - done};
        ssize_t count = process_vm_readv(pid, &own, 1, &foreign, 1, 0);
        if (count <= 0)
            return count == 0 ? EFAULT : errno;
        done += (size_t)count;
    }
    return 0;
}
