/* The yardstick of the fan-out benchmark: the least that a cursor relay with batches has to do.
 *
 * One thread, one level-triggered epoll set, plain sockets. Clients upgrade to WebSocket on the path `/room/<number>`
 * and send cursor frames of 18 or 26 bytes. A room keeps the newest record of each member since the last tick; at
 * every tick the records become ONE batched frame (type 0x0101), which goes to each member of the room with ONE
 * send(). Nothing is authenticated, no user id is rewritten, no coordinate is checked: what a gateway adds to this
 * program's CPU time is the price of being a gateway.
 *
 * A member whose socket is full keeps the unsent rest of one frame and skips ticks until that rest is gone; then it
 * gets the newest record of everybody, so that the last update of a sender reaches even a slow reader.
 *
 * usage: cursor_loop [PORT [TICK_MS]]        (port 0, the default, takes a free one; the tick is 16.67 ms by default)
 * It prints one line, "listening on 127.0.0.1:PORT", when it accepts connections, and ends on SIGTERM.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

enum {
    RECORD_SIZE = 24,      /* user, x, y, timestamp, viewport x, viewport y */
    BATCH_HEADER = 8,      /* type, count, room handle */
    FRAME_HEADER_MAX = 10, /* of an unmasked WebSocket frame */
    PARTIAL_MAX = 4096,    /* the longest upgrade request, or incomplete frame, that is kept */
    READ_SIZE = 65536,
    EVENTS = 256,
    ROOMS_MAX = 4096,
};

struct room;

struct member {
    int fd;
    bool upgraded, behind, has_record;
    struct room *room;
    size_t slot;                    /* index in room->members */
    uint64_t batch;                 /* the batch that holds a record of this member ... */
    size_t position;                /* ... and where in it */
    uint8_t newest[RECORD_SIZE];
    uint8_t *rest;                  /* what a full socket did not take of a frame, rest_size bytes from rest_start */
    size_t rest_start, rest_size;
    size_t partial_size;
    uint8_t partial[PARTIAL_MAX];
};

struct room {
    uint32_t handle;
    struct member **members;
    size_t count, capacity;
    uint64_t batch;                 /* number of the batch being gathered, from 1 */
    size_t records;
    uint8_t *buffer;                /* FRAME_HEADER_MAX + BATCH_HEADER + capacity * RECORD_SIZE */
    size_t buffer_records;
};

static struct room *rooms[ROOMS_MAX];
static struct room *opened[ROOMS_MAX];
static size_t opened_count;
static int epoll_fd;

static void die(const char *what) {
    perror(what);
    exit(1);
}

static void *allocate(void *old, size_t size) {
    void *memory = realloc(old, size);
    if (!memory) die("realloc");
    return memory;
}

/* SHA-1 and base64, only for Sec-WebSocket-Accept. */

static uint32_t rotate(uint32_t word, int bits) { return word << bits | word >> (32 - bits); }

static void sha1(const uint8_t *text, size_t size, uint8_t digest[20]) {
    uint32_t h[5] = {0x67452301, 0xEFCDAB89, 0x98BADCFE, 0x10325476, 0xC3D2E1F0};
    uint8_t padded[256] = {0};
    size_t blocks = (size + 8) / 64 + 1;
    memcpy(padded, text, size);
    padded[size] = 0x80;
    for (int i = 0; i < 8; i++) padded[blocks * 64 - 1 - i] = (uint8_t)((uint64_t)size * 8 >> (8 * i));
    for (size_t block = 0; block < blocks; block++) {
        uint32_t w[80], a = h[0], b = h[1], c = h[2], d = h[3], e = h[4];
        for (int i = 0; i < 16; i++) {
            uint32_t word;
            memcpy(&word, padded + block * 64 + i * 4, 4);
            w[i] = ntohl(word);
        }
        for (int i = 16; i < 80; i++) w[i] = rotate(w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16], 1);
        for (int i = 0; i < 80; i++) {
            uint32_t f, k;
            if (i < 20) f = (b & c) | (~b & d), k = 0x5A827999;
            else if (i < 40) f = b ^ c ^ d, k = 0x6ED9EBA1;
            else if (i < 60) f = (b & c) | (b & d) | (c & d), k = 0x8F1BBCDC;
            else f = b ^ c ^ d, k = 0xCA62C1D6;
            uint32_t next = rotate(a, 5) + f + e + k + w[i];
            e = d, d = c, c = rotate(b, 30), b = a, a = next;
        }
        h[0] += a, h[1] += b, h[2] += c, h[3] += d, h[4] += e;
    }
    for (int i = 0; i < 20; i++) digest[i] = (uint8_t)(h[i / 4] >> (24 - 8 * (i % 4)));
}

static void base64_of_digest(const uint8_t digest[20], char text[29]) {
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    uint8_t padded[21] = {0};
    memcpy(padded, digest, 20);
    for (int i = 0; i < 7; i++) {
        uint32_t bits = (uint32_t)padded[i * 3] << 16 | (uint32_t)padded[i * 3 + 1] << 8 | padded[i * 3 + 2];
        for (int j = 0; j < 4; j++) text[i * 4 + j] = alphabet[bits >> (18 - 6 * j) & 63];
    }
    text[27] = '=';
    text[28] = 0;
}

/* Members and rooms. */

static void leave(struct member *member) {
    struct room *room = member->room;
    if (room) {
        struct member *last = room->members[--room->count];
        room->members[member->slot] = last;
        last->slot = member->slot;
    }
    close(member->fd);
    free(member->rest);
    free(member);
}

static void enter(struct member *member, uint32_t handle) {
    struct room *room = rooms[handle];
    if (!room) {
        room = rooms[handle] = allocate(NULL, sizeof *room);
        *room = (struct room){.handle = handle, .batch = 1};
        opened[opened_count++] = room;
    }
    if (room->count == room->capacity) {
        room->capacity = room->capacity ? room->capacity * 2 : 16;
        room->members = allocate(room->members, room->capacity * sizeof *room->members);
    }
    member->slot = room->count;
    room->members[room->count++] = member;
    member->room = room;
}

/* Sends a frame, or as much of it as the socket takes. A connection that is gone is noticed by the next recv. */
static void send_frame(struct member *member, const uint8_t *frame, size_t size) {
    ssize_t sent = send(member->fd, frame, size, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent == (ssize_t)size) return;
    size_t done = sent > 0 ? (size_t)sent : 0;
    if (done == 0) {
        member->behind = true;
        return;
    }
    member->rest = allocate(member->rest, size - done);
    memcpy(member->rest, frame + done, size - done);
    member->rest_start = 0;
    member->rest_size = size - done;
}

/* Tries to get rid of the rest of an earlier frame; true if none is left. */
static bool send_rest(struct member *member) {
    if (member->rest_size == 0) return true;
    ssize_t sent = send(member->fd, member->rest + member->rest_start, member->rest_size,
                        MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent > 0) {
        member->rest_start += (size_t)sent;
        member->rest_size -= (size_t)sent;
    }
    return member->rest_size == 0;
}

/* Puts the headers in front of `records` records that begin at FRAME_HEADER_MAX + BATCH_HEADER in `buffer`.
 * Returns where the frame begins; its size goes to *size. */
static const uint8_t *seal(uint8_t *buffer, size_t records, uint32_t handle, size_t *size) {
    size_t payload = BATCH_HEADER + records * RECORD_SIZE;
    uint16_t type = htons(0x0101), count = htons((uint16_t)records);
    uint8_t *batch = buffer + FRAME_HEADER_MAX, *start;
    handle = htonl(handle);
    memcpy(batch, &type, 2);
    memcpy(batch + 2, &count, 2);
    memcpy(batch + 4, &handle, 4);
    if (payload < 126) {
        start = batch - 2;
        start[1] = (uint8_t)payload;
    } else if (payload < 65536) {
        uint16_t length = htons((uint16_t)payload);
        start = batch - 4;
        start[1] = 126;
        memcpy(start + 2, &length, 2);
    } else {
        start = batch - 10;
        start[1] = 127;
        for (int i = 0; i < 8; i++) start[2 + i] = (uint8_t)((uint64_t)payload >> (56 - 8 * i));
    }
    start[0] = 0x82;
    *size = payload + (size_t)(batch - start);
    return start;
}

static void catch_up(struct member *member) {
    struct room *room = member->room;
    uint8_t *buffer = allocate(NULL, FRAME_HEADER_MAX + BATCH_HEADER + room->count * RECORD_SIZE);
    size_t records = 0, size;
    for (size_t i = 0; i < room->count; i++) {
        if (!room->members[i]->has_record) continue;
        memcpy(buffer + FRAME_HEADER_MAX + BATCH_HEADER + records++ * RECORD_SIZE, room->members[i]->newest,
               RECORD_SIZE);
    }
    const uint8_t *frame = seal(buffer, records, room->handle, &size);
    member->behind = false;
    send_frame(member, frame, size);
    free(buffer);
}

static void flush(struct room *room) {
    size_t size = 0;
    const uint8_t *frame = room->records ? seal(room->buffer, room->records, room->handle, &size) : NULL;
    for (size_t i = 0; i < room->count; i++) {
        struct member *member = room->members[i];
        if (!send_rest(member)) {
            if (frame) member->behind = true;
        } else if (member->behind) {
            catch_up(member);
        } else if (frame) {
            send_frame(member, frame, size);
        }
    }
    room->records = 0;
    room->batch++;
}

static void tick(void) {
    for (size_t i = 0; i < opened_count; i++) flush(opened[i]);
}

static void update(struct member *member, const uint8_t *payload, size_t size) {
    struct room *room = member->room;
    if (member->batch != room->batch) {
        if (room->records == room->buffer_records) {
            room->buffer_records = room->buffer_records ? room->buffer_records * 2 : 16;
            room->buffer = allocate(room->buffer,
                                    FRAME_HEADER_MAX + BATCH_HEADER + room->buffer_records * RECORD_SIZE);
        }
        member->batch = room->batch;
        member->position = room->records++;
    }
    memcpy(member->newest, payload + 2, size - 2);
    if (size == 18) memset(member->newest + 16, 0xFF, 8); /* a NaN: no viewport */
    member->has_record = true;
    memcpy(room->buffer + FRAME_HEADER_MAX + BATCH_HEADER + member->position * RECORD_SIZE, member->newest,
           RECORD_SIZE);
}

/* The two halves of the protocol: each returns how many bytes it used, 0 to wait for more, -1 to hang up. */

static ssize_t read_upgrade(struct member *member, uint8_t *data, size_t size) {
    static const char key_field[] = "\r\nSec-WebSocket-Key:", guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    uint8_t *end = memmem(data, size, "\r\n\r\n", 4);
    if (!end) return size < PARTIAL_MAX ? 0 : -1;
    *end = 0;
    unsigned handle;
    if (sscanf((char *)data, "GET /room/%u ", &handle) != 1 || handle >= ROOMS_MAX) return -1;
    char *key = strcasestr((char *)data, key_field);
    if (!key) return -1;
    key += sizeof key_field - 1;
    while (*key == ' ') key++;
    char joined[128], accept[29], answer[512];
    int length = snprintf(joined, sizeof joined, "%.24s%s", key, guid);
    uint8_t digest[20];
    sha1((uint8_t *)joined, (size_t)length, digest);
    base64_of_digest(digest, accept);
    char *protocol = strcasestr((char *)data, "\r\nSec-WebSocket-Protocol:");
    const char *chosen = protocol && strstr(protocol, "fastcollab.v1.batch")
                             ? "Sec-WebSocket-Protocol: fastcollab.v1.batch\r\n" : "";
    length = snprintf(answer, sizeof answer,
                      "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                      "Sec-WebSocket-Accept: %s\r\n%s\r\n", accept, chosen);
    if (send(member->fd, answer, (size_t)length, MSG_NOSIGNAL) != length) return -1;
    enter(member, handle);
    member->upgraded = true;
    return end + 4 - data;
}

static ssize_t read_frame(struct member *member, uint8_t *data, size_t size) {
    if (size < 6) return 0;
    size_t payload_size = data[1] & 0x7F;
    if (!(data[1] & 0x80) || payload_size > 125) return -1; /* unmasked, or longer than any frame used here */
    if (size < 6 + payload_size) return 0;
    uint8_t *payload = data + 6;
    for (size_t i = 0; i < payload_size; i++) payload[i] ^= data[2 + (i & 3)];
    if (data[0] == 0x88) return -1;
    if (data[0] == 0x82 && (payload_size == 26 || payload_size == 18)) update(member, payload, payload_size);
    return (ssize_t)(6 + payload_size);
}

static void receive(struct member *member) {
    static uint8_t buffer[PARTIAL_MAX + READ_SIZE];
    size_t size = member->partial_size, used = 0;
    memcpy(buffer, member->partial, size);
    ssize_t got = recv(member->fd, buffer + size, READ_SIZE, MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (got <= 0) {
        leave(member);
        return;
    }
    size += (size_t)got;
    while (used < size) {
        ssize_t step = member->upgraded ? read_frame(member, buffer + used, size - used)
                                        : read_upgrade(member, buffer + used, size - used);
        if (step == 0) break;
        if (step < 0) {
            leave(member);
            return;
        }
        used += (size_t)step;
    }
    if (size - used > PARTIAL_MAX) {
        leave(member);
        return;
    }
    member->partial_size = size - used;
    memcpy(member->partial, buffer + used, member->partial_size);
}

static void accept_all(int listener) {
    int on = 1, fd;
    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        struct member *member = allocate(NULL, sizeof *member);
        memset(member, 0, sizeof *member);
        member->fd = fd;
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = member};
        if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0) die("epoll_ctl");
    }
}

int main(int argc, char **argv) {
    double tick_ms = argc > 2 ? atof(argv[2]) : 16.67;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    address.sin_port = htons((uint16_t)(argc > 1 ? atoi(argv[1]) : 0));
    if (tick_ms <= 0) {
        fprintf(stderr, "cursor_loop: the tick must be longer than 0 ms, not %s\n", argv[2]);
        return 2;
    }

    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);

    int on = 1, listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    socklen_t address_size = sizeof address;
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) < 0) die("bind");
    if (listen(listener, 1024) < 0) die("listen");
    getsockname(listener, (struct sockaddr *)&address, &address_size);

    long nanoseconds = (long)(tick_ms * 1e6);
    int timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    struct timespec period = {.tv_sec = nanoseconds / 1000000000, .tv_nsec = nanoseconds % 1000000000};
    struct itimerspec every = {.it_interval = period, .it_value = period};
    timerfd_settime(timer, 0, &every, NULL);

    /* The addresses of these two variables tell their events from those of members. */
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event on_accept = {.events = EPOLLIN, .data.ptr = &listener};
    struct epoll_event on_tick = {.events = EPOLLIN, .data.ptr = &timer};
    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, listener, &on_accept);
    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, timer, &on_tick);

    printf("listening on 127.0.0.1:%d\n", ntohs(address.sin_port));
    fflush(stdout);

    struct epoll_event events[EVENTS];
    for (;;) {
        int ready = epoll_wait(epoll_fd, events, EVENTS, -1);
        bool due = false;
        for (int i = 0; i < ready; i++) {
            if (events[i].data.ptr == &listener) {
                accept_all(listener);
            } else if (events[i].data.ptr == &timer) {
                uint64_t expirations;
                due = read(timer, &expirations, sizeof expirations) == sizeof expirations;
            } else {
                receive(events[i].data.ptr);
            }
        }
        if (due) tick();
    }
}
