/* User memory, checked: the range first, then the copy that survives a fault (user_copy.S). */
#include "abi/errors.h"
#include "kernel/arch.h"

int raw_user_copy(void *to, const void *from, size_t length);
int raw_user_copy_nofault(void *to, const void *from, size_t length);
int raw_user_zero(void *to, size_t length);
int raw_user_read_u32(const uint32_t *from, uint32_t *value);
int raw_user_read_u32_nofault(const uint32_t *from, uint32_t *value);

int user_copy_in(void *to, uaddr_t from, size_t length)
{
    return user_range_ok(from, length) ? raw_user_copy(to, (const void *)from.value, length)
                                       : -E_FAULT;
}

int user_copy_out(uaddr_t to, const void *from, size_t length)
{
    return user_range_ok(to, length) ? raw_user_copy((void *)to.value, from, length) : -E_FAULT;
}

int user_zero(uaddr_t to, size_t length)
{
    return user_range_ok(to, length) ? raw_user_zero((void *)to.value, length) : -E_FAULT;
}

int user_copy_in_nofault(void *to, uaddr_t from, size_t length)
{
    return user_range_ok(from, length) ? raw_user_copy_nofault(to, (const void *)from.value, length)
                                       : -E_FAULT;
}

int user_copy_out_nofault(uaddr_t to, const void *from, size_t length)
{
    return user_range_ok(to, length) ? raw_user_copy_nofault((void *)to.value, from, length)
                                     : -E_FAULT;
}

int user_read_u32(uaddr_t from, uint32_t *value)
{
    return user_range_ok(from, sizeof(*value))
               ? raw_user_read_u32((const uint32_t *)from.value, value)
               : -E_FAULT;
}

int user_read_u32_nofault(uaddr_t from, uint32_t *value)
{
    return user_range_ok(from, sizeof(*value))
               ? raw_user_read_u32_nofault((const uint32_t *)from.value, value)
               : -E_FAULT;
}
