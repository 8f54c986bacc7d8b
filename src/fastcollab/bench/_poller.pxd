"""epoll with waits below a millisecond, the monotonic clock, and the socket calls of the load generator.

On systems without epoll this compiles, POLLER_AVAILABLE is false, and each poller function fails.
"""

from libc.stdint cimport int64_t, uint32_t


cdef extern from *:
    """
    #include <errno.h>
    #include <stdint.h>
    #include <sys/socket.h>
    #include <time.h>

    #ifndef MSG_NOSIGNAL
    #define MSG_NOSIGNAL 0
    #endif

    static int64_t monotonic_ns(void) {
        struct timespec now;
        clock_gettime(CLOCK_MONOTONIC, &now);
        return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
    }

    static void sleep_ns(int64_t duration_ns) {
        struct timespec duration = {.tv_sec = duration_ns / 1000000000, .tv_nsec = duration_ns % 1000000000};
        nanosleep(&duration, NULL);
    }

    #ifdef __linux__
    #include <sys/epoll.h>
    #include <sys/syscall.h>
    #include <unistd.h>

    #define POLLER_AVAILABLE 1

    static int poller_open(void) { return epoll_create1(EPOLL_CLOEXEC); }

    static int poller_add(int poller, int fd, uint32_t key) {
        struct epoll_event event = {.events = EPOLLIN, .data.u32 = key};
        return epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event);
    }

    static int poller_remove(int poller, int fd) { return epoll_ctl(poller, EPOLL_CTL_DEL, fd, NULL); }

    static int poller_wait(int poller, uint32_t *keys, int most, int64_t timeout_ns) {
        struct epoll_event events[256];
        int i, ready = -1;
        if (most > 256) most = 256;
        errno = ENOSYS;
    #ifdef SYS_epoll_pwait2
        struct timespec timeout = {.tv_sec = timeout_ns / 1000000000, .tv_nsec = timeout_ns % 1000000000};
        ready = (int)syscall(SYS_epoll_pwait2, poller, events, most, &timeout, NULL, 0);
    #endif
        if (ready < 0 && errno == ENOSYS)
            ready = epoll_wait(poller, events, most, (int)((timeout_ns + 999999) / 1000000));
        for (i = 0; i < ready; i++) keys[i] = events[i].data.u32;
        return ready;
    }

    #else
    #define POLLER_AVAILABLE 0

    static int poller_open(void) { errno = ENOSYS; return -1; }
    static int poller_add(int poller, int fd, uint32_t key) {
        (void)poller, (void)fd, (void)key;
        return -1;
    }
    static int poller_remove(int poller, int fd) { (void)poller, (void)fd; return -1; }
    static int poller_wait(int poller, uint32_t *keys, int most, int64_t timeout_ns) {
        (void)poller, (void)keys, (void)most, (void)timeout_ns;
        return -1;
    }
    #endif
    """
    const bint POLLER_AVAILABLE
    const int MSG_NOSIGNAL
    const int MSG_DONTWAIT
    const int EAGAIN
    const int EWOULDBLOCK
    const int EINTR
    int errno
    int64_t monotonic_ns() noexcept nogil
    void sleep_ns(int64_t duration_ns) noexcept nogil

    int poller_open() noexcept nogil
    # `key` is what poller_wait() gives for this descriptor when it is readable.
    int poller_add(int poller, int fd, uint32_t key) noexcept nogil
    int poller_remove(int poller, int fd) noexcept nogil
    # Puts at most `most` keys into `keys`, never more than 256, and returns how many; 0 after `timeout_ns`, which
    # Linux before 5.11 rounds up to a millisecond; -1 with errno.
    int poller_wait(int poller, uint32_t *keys, int most, int64_t timeout_ns) noexcept nogil

    ssize_t recv(int fd, void *data, size_t size, int flags) noexcept nogil
    ssize_t send(int fd, const void *data, size_t size, int flags) noexcept nogil
