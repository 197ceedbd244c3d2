/* What the files of core_io_file share. */
#ifndef NERSWEEP_CORE_IO_FILE_INTERNAL_H
#define NERSWEEP_CORE_IO_FILE_INTERNAL_H

#include "core/io/file.h"

/* "cannot ACTION PATH: reason", with the Status that the errno value stands for. */
Status file_fail(Diagnostic *diagnostic, int error_number, const char *path, const char *action);

/* Opens an existing regular file for reading; *file is to be closed when it is not -1, on failure too. */
NODISCARD Status file_open_regular(const char *path, int *file, uint64_t *size, Diagnostic *diagnostic);

#endif
