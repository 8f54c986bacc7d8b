/* epoll where there is one; elsewhere functions that say that there is none, so that the caller does without. */
#ifndef FASTCOLLAB_EPOLL_H
#define FASTCOLLAB_EPOLL_H

#ifdef __linux__
#include <sys/epoll.h>
#else
#include <stdint.h>

#define EPOLLIN 1
#define EPOLL_CTL_ADD 1
#define EPOLL_CTL_DEL 2
#define EPOLL_CLOEXEC 0

typedef union { int fd; uint64_t u64; } epoll_data_t;
struct epoll_event { uint32_t events; epoll_data_t data; };

static inline int epoll_create1(int flags) { (void) flags; return -1; }
static inline int epoll_ctl(int set, int what, int fd, struct epoll_event *event)
{ (void) set; (void) what; (void) fd; (void) event; return -1; }
static inline int epoll_wait(int set, struct epoll_event *events, int size, int timeout)
{ (void) set; (void) events; (void) size; (void) timeout; return -1; }
#endif

#endif
