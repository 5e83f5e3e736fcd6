/* What the programs that measure libzmq have in common: messages, sockets that must not fail, and the clock. */

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <zmq.h>

/* A message is its index and then a pattern made from it, in words of 8 bytes, as in compare's payload.rs. */
#define WORD_BYTES 8

static inline void fail(const char *what)
{
    fprintf(stderr, "%s: %s\n", what, zmq_strerror(zmq_errno()));
    exit(1);
}

static inline double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static inline uint64_t word(uint64_t index, uint64_t place)
{
    return (index + 1) * UINT64_C(0x9e3779b97f4a7c15) + place * UINT64_C(0xd1b54a32d192ed03);
}

static inline void fill(unsigned char *payload, uint64_t words, uint64_t index)
{
    memcpy(payload, &index, WORD_BYTES);
    for (uint64_t place = 1; place < words; place++) {
        uint64_t value = word(index, place);
        memcpy(payload + place * WORD_BYTES, &value, WORD_BYTES);
    }
}

/* Whether every byte is that of this message. */
static inline int is_message(const unsigned char *payload, uint64_t words, uint64_t index)
{
    uint64_t found;
    memcpy(&found, payload, WORD_BYTES);
    uint64_t difference = found ^ index;
    for (uint64_t place = 1; place < words; place++) {
        memcpy(&found, payload + place * WORD_BYTES, WORD_BYTES);
        difference |= found ^ word(index, place);
    }
    return difference == 0;
}

/* Ends the program unless this is all of this message. */
static inline void check(zmq_msg_t *message, size_t size, uint64_t index)
{
    if (zmq_msg_size(message) != size || !is_message(zmq_msg_data(message), size / WORD_BYTES, index)) {
        fprintf(stderr, "message %" PRIu64 " is not what was sent\n", index);
        exit(1);
    }
}

/* With the default of one I/O thread. */
static inline void *new_context(void)
{
    void *context = zmq_ctx_new();
    if (context == NULL)
        fail("zmq_ctx_new");
    return context;
}

static inline void end_context(void *context)
{
    if (zmq_ctx_term(context) != 0)
        fail("zmq_ctx_term");
}

static inline void *new_socket(void *context, int kind)
{
    void *socket = zmq_socket(context, kind);
    if (socket == NULL)
        fail("zmq_socket");
    return socket;
}

static inline void set_int(void *socket, int option, int value)
{
    if (zmq_setsockopt(socket, option, &value, sizeof value) != 0)
        fail("zmq_setsockopt");
}

/* Says on stderr where. */
static inline void bind_socket(void *socket, const char *endpoint)
{
    char bound[256];
    size_t bound_bytes = sizeof bound;
    if (zmq_bind(socket, endpoint) != 0)
        fail("zmq_bind");
    if (zmq_getsockopt(socket, ZMQ_LAST_ENDPOINT, bound, &bound_bytes) != 0)
        fail("zmq_getsockopt");
    fprintf(stderr, "bound %s\n", bound);
}

static inline void connect_socket(void *socket, const char *endpoint)
{
    if (zmq_connect(socket, endpoint) != 0)
        fail("zmq_connect");
}

static inline void close_socket(void *socket)
{
    if (zmq_close(socket) != 0)
        fail("zmq_close");
}

static inline void send_message(void *socket, size_t size, uint64_t index)
{
    zmq_msg_t message;
    if (zmq_msg_init_size(&message, size) != 0)
        fail("zmq_msg_init_size");
    fill(zmq_msg_data(&message), size / WORD_BYTES, index);
    if (zmq_msg_send(&message, socket, 0) < 0)
        fail("zmq_msg_send");
}

static inline void receive(zmq_msg_t *message, void *socket)
{
    if (zmq_msg_recv(message, socket, 0) < 0)
        fail("zmq_msg_recv");
}
