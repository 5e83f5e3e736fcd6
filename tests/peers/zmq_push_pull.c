/* One side of a measurement of libzmq: `pull ENDPOINT COUNT SIZE` or `push ENDPOINT COUNT SIZE`; or, between both,
 * `proxy ENDPOINT RECEIVER`.
 *
 * The receiver binds, says `bound ENDPOINT` on stderr, and checks every byte of every message. Each side prints one
 * line of JSON at its end. `version` prints the version of libzmq. */

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <zmq.h>

/* A message is its index and then a pattern made from it, in words of 8 bytes, as in compare's payload.rs. */
#define WORD_BYTES 8

#define QUEUE_MESSAGES 1000
#define QUEUE_BYTES ((size_t)4 << 20)

static void fail(const char *what)
{
    fprintf(stderr, "%s: %s\n", what, zmq_strerror(zmq_errno()));
    exit(1);
}

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static uint64_t word(uint64_t index, uint64_t place)
{
    return (index + 1) * UINT64_C(0x9e3779b97f4a7c15) + place * UINT64_C(0xd1b54a32d192ed03);
}

static void fill(unsigned char *payload, uint64_t words, uint64_t index)
{
    memcpy(payload, &index, WORD_BYTES);
    for (uint64_t place = 1; place < words; place++) {
        uint64_t value = word(index, place);
        memcpy(payload + place * WORD_BYTES, &value, WORD_BYTES);
    }
}

static int is_message(const unsigned char *payload, uint64_t words, uint64_t index)
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

/* `option` is a high-water mark: the default, but of large messages only as many as fit a processor's cache. */
static void *open_socket(void *context, int kind, int option, size_t size)
{
    size_t fit = QUEUE_BYTES / size;
    int high_water_mark = fit == 0 ? 1 : fit < QUEUE_MESSAGES ? (int)fit : QUEUE_MESSAGES;
    void *socket = zmq_socket(context, kind);
    if (socket == NULL)
        fail("zmq_socket");
    if (zmq_setsockopt(socket, option, &high_water_mark, sizeof high_water_mark) != 0)
        fail("zmq_setsockopt");
    return socket;
}

/* A PUSH that is closed lingers until all is with the kernel. */
static void close_socket(void *socket, void *context)
{
    if (zmq_close(socket) != 0)
        fail("zmq_close");
    if (zmq_ctx_term(context) != 0)
        fail("zmq_ctx_term");
}

static void push(void *context, const char *endpoint, uint64_t count, size_t size)
{
    void *socket = open_socket(context, ZMQ_PUSH, ZMQ_SNDHWM, size);
    if (zmq_connect(socket, endpoint) != 0)
        fail("zmq_connect");
    double start = now();
    for (uint64_t index = 0; index < count; index++) {
        zmq_msg_t message;
        if (zmq_msg_init_size(&message, size) != 0)
            fail("zmq_msg_init_size");
        fill(zmq_msg_data(&message), size / WORD_BYTES, index);
        if (zmq_msg_send(&message, socket, 0) < 0)
            fail("zmq_msg_send");
    }
    double accepted = now() - start;
    close_socket(socket, context);
    printf("{\"accepted_seconds\": %.9f}\n", accepted);
}

/* Never ends by itself. */
static void proxy(void *context, const char *endpoint, const char *receiver)
{
    char bound[256];
    size_t bound_bytes = sizeof bound;
    void *front = open_socket(context, ZMQ_PULL, ZMQ_RCVHWM, 256);
    void *back = open_socket(context, ZMQ_PUSH, ZMQ_SNDHWM, 256);
    if (zmq_connect(back, receiver) != 0)
        fail("zmq_connect");
    if (zmq_bind(front, endpoint) != 0)
        fail("zmq_bind");
    if (zmq_getsockopt(front, ZMQ_LAST_ENDPOINT, bound, &bound_bytes) != 0)
        fail("zmq_getsockopt");
    fprintf(stderr, "bound %s\n", bound);
    zmq_proxy(front, back, NULL);
    fail("zmq_proxy");
}

static void pull(void *context, const char *endpoint, uint64_t count, size_t size)
{
    char bound[256];
    size_t bound_bytes = sizeof bound;
    void *socket = open_socket(context, ZMQ_PULL, ZMQ_RCVHWM, size);
    if (zmq_bind(socket, endpoint) != 0)
        fail("zmq_bind");
    if (zmq_getsockopt(socket, ZMQ_LAST_ENDPOINT, bound, &bound_bytes) != 0)
        fail("zmq_getsockopt");
    fprintf(stderr, "bound %s\n", bound);

    zmq_msg_t message;
    if (zmq_msg_init(&message) != 0)
        fail("zmq_msg_init");
    double start = 0;
    for (uint64_t index = 0; index < count; index++) {
        if (zmq_msg_recv(&message, socket, 0) < 0)
            fail("zmq_msg_recv");
        if (index == 0)
            start = now();
        if (zmq_msg_size(&message) != size || !is_message(zmq_msg_data(&message), size / WORD_BYTES, index)) {
            fprintf(stderr, "message %" PRIu64 " is not what was sent\n", index);
            exit(1);
        }
    }
    double seconds = now() - start;
    zmq_msg_close(&message);
    close_socket(socket, context);
    printf("{\"seconds\": %.9f}\n", seconds);
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "version") == 0) {
        int major, minor, patch;
        zmq_version(&major, &minor, &patch);
        printf("%d.%d.%d\n", major, minor, patch);
        return 0;
    }
    if (argc == 4 && strcmp(argv[1], "proxy") == 0) {
        void *context = zmq_ctx_new();
        if (context == NULL)
            fail("zmq_ctx_new");
        proxy(context, argv[2], argv[3]);
        return 0;
    }
    if (argc != 5) {
        fprintf(stderr, "usage: zmq_push_pull version | proxy ENDPOINT RECEIVER | (push|pull) ENDPOINT COUNT SIZE\n");
        return 2;
    }
    uint64_t count = strtoull(argv[3], NULL, 10);
    size_t size = strtoull(argv[4], NULL, 10);
    if (count == 0 || size < WORD_BYTES || size % WORD_BYTES != 0) {
        fprintf(stderr, "COUNT is at least 1, and SIZE a multiple of %d\n", WORD_BYTES);
        return 2;
    }
    /* The default of one I/O thread. */
    void *context = zmq_ctx_new();
    if (context == NULL)
        fail("zmq_ctx_new");
    if (strcmp(argv[1], "push") == 0)
        push(context, argv[2], count, size);
    else
        pull(context, argv[2], count, size);
    return 0;
}
