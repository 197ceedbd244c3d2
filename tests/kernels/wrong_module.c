/* A module whose AdamW forgets a parameter, as a miscompiled loop over a tail would: for nersweep doctor --numerics. */
#include <stdio.h>

#include "kernels/backend.h"

static void device_describe(const BackendDevice *device, char *text, size_t text_size)
{
    (void)device;
    snprintf(text, text_size, "cpu: portable vectors, products by own panels, all wrong");
}

static void adamw(BackendStream *stream, DeviceView parameter, DeviceView gradient, DeviceView first_moment,
                  DeviceView second_moment, size_t count, const AdamwStep *step)
{
    backend_reference()->adamw(stream, parameter, gradient, first_moment, second_moment, count - 1, step);
}

const Backend *nersweep_backend_entry(void);

__attribute__((visibility("default"))) const Backend *nersweep_backend_entry(void)
{
    static Backend table;
    table = *backend_reference();
    table.name = "cpu";
    table.device_describe = device_describe;
    table.adamw = adamw;
    return &table;
}
