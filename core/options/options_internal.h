/* What the files of this package share. */
#ifndef NERSWEEP_CORE_OPTIONS_OPTIONS_INTERNAL_H
#define NERSWEEP_CORE_OPTIONS_OPTIONS_INTERNAL_H

#include "core/options/options.h"

/* As option_set, but the message says only what is wrong with the value ("must be ..., not ..."), without the option's name. */
NODISCARD Status option_value_parse(const OptionDescriptor *descriptor, void *options, const char *text, Diagnostic *diagnostic);

/* "a number above 0 and at most 1", "one of linear, cosine": what a value of this option looks like. Appends. */
void option_describe(const OptionDescriptor *descriptor, Text *text);

static inline void *option_field(const OptionDescriptor *descriptor, void *options)
{
    return (char *)options + descriptor->offset;
}

static inline const void *option_field_const(const OptionDescriptor *descriptor, const void *options)
{
    return (const char *)options + descriptor->offset;
}

#endif
