/* Part of core_io_kv: is a file such that LMDB can read it without leaving its map? */
#ifndef NERSWEEP_CORE_IO_KV_CHECK_H
#define NERSWEEP_CORE_IO_KV_CHECK_H

#include <stdint.h>

#include "core/base/status.h"

/* STATUS_CORRUPT with the reason when path is not a database whose every reachable page lies in the file and keeps its own bounds.
 * LMDB believes what pages say, so a damaged or hostile one would otherwise end the process. Values are not looked at: the bytes of
 * a record are its owner's to check. Reads the tree's pages once, not the values that have pages of their own. */
NODISCARD Status kv_check_file(const char *path, Diagnostic *diagnostic);

#endif
