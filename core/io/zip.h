/* Zip archives (PKWARE APPNOTE 6.3, also beyond 4 GB), read only, by libzip. */
#ifndef NERSWEEP_CORE_IO_ZIP_H
#define NERSWEEP_CORE_IO_ZIP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/status.h"

typedef struct ZipArchive ZipArchive;

/* STATUS_CORRUPT for what is no zip archive or has two entries of one name, STATUS_NOT_FOUND for what is not there, STATUS_LIMIT for more
 * than 1,000,000 entries. */
NODISCARD Status zip_archive_open(ZipArchive **archive, const char *path, Diagnostic *diagnostic);
void zip_archive_close(ZipArchive **archive);
size_t zip_archive_count(const ZipArchive *archive);
/* The name of an entry, as it stands in the archive; lives until zip_archive_close. Never NULL. */
const char *zip_archive_name(const ZipArchive *archive, size_t index);
bool zip_archive_find(const ZipArchive *archive, const char *name, size_t *index);

/* Reads a whole entry and checks its CRC-32. *bytes is terminated, aligned to 64 bytes and freed by the caller with free(). Entries over size_limit
 * are STATUS_LIMIT. Compressed and encrypted entries are STATUS_UNSUPPORTED: an entry is thus never larger than the archive. */
NODISCARD Status zip_archive_read(ZipArchive *archive, size_t index, size_t size_limit, uint8_t **bytes, size_t *size,
                                  Diagnostic *diagnostic);

#endif
