/* Modules that backend_open must refuse: of another version, or (ODD_MODULE_WITHOUT_ENTRY) without the entry symbol. */
#include "kernels/backend.h"

#ifdef ODD_MODULE_WITHOUT_ENTRY
int odd_module_symbol(void);

int odd_module_symbol(void)
{
    return 1;
}
#else
const Backend *nersweep_backend_entry(void);

const Backend *nersweep_backend_entry(void)
{
    static const Backend table = {.version = 999, .name = "odd"};
    return &table;
}
#endif
