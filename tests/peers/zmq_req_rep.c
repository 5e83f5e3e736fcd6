/* One side of a measurement of libzmq's requests: `req ENDPOINT COUNT SIZE` to `rep`, with the same words, or
 * `dealer ENDPOINT COUNT SIZE OUTSTANDING` to `router`.
 *
 * The server binds, says `bound ENDPOINT` on stderr, checks every byte of every request and sends it back. REQ asks one by
 * one and measures each; DEALER keeps so many requests outstanding. Both check every byte of every reply. Each side prints
 * one line of JSON at its end. */

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <zmq.h>

/* A message is its index and then a pattern made from it, in words of 8 bytes, as in compare's payload.rs. */
#define WORD_BYTES 8

struct load {
    uint64_t count;
    size_t size;
    uint64_t outstanding;
};

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

static void check(zmq_msg_t *message, size_t size, uint64_t index)
{
    uint64_t words = size / WORD_BYTES;
    uint64_t difference = zmq_msg_size(message) != size;
    for (uint64_t place = 0; place < words && difference == 0; place++) {
        uint64_t found;
        memcpy(&found, (unsigned char *)zmq_msg_data(message) + place * WORD_BYTES, WORD_BYTES);
        difference |= found ^ (place == 0 ? index : word(index, place));
    }
    if (difference != 0) {
        fprintf(stderr, "message %" PRIu64 " is not what was sent\n", index);
        exit(1);
    }
}

/* Without high-water marks: what is outstanding is bounded by the client, and a ROUTER would drop what finds a queue full. */
static void *open_socket(void *context, int kind)
{
    int unlimited = 0;
    void *socket = zmq_socket(context, kind);
    if (socket == NULL)
        fail("zmq_socket");
    if (zmq_setsockopt(socket, ZMQ_SNDHWM, &unlimited, sizeof unlimited) != 0
        || zmq_setsockopt(socket, ZMQ_RCVHWM, &unlimited, sizeof unlimited) != 0)
        fail("zmq_setsockopt");
    return socket;
}

/* A socket that is closed lingers until all is with the kernel. */
static void close_socket(void *socket, void *context)
{
    if (zmq_close(socket) != 0)
        fail("zmq_close");
    if (zmq_ctx_term(context) != 0)
        fail("zmq_ctx_term");
}

static void send_request(void *socket, size_t size, uint64_t index)
{
    zmq_msg_t message;
    if (zmq_msg_init_size(&message, size) != 0)
        fail("zmq_msg_init_size");
    fill(zmq_msg_data(&message), size / WORD_BYTES, index);
    if (zmq_msg_send(&message, socket, 0) < 0)
        fail("zmq_msg_send");
}

static void receive(zmq_msg_t *message, void *socket)
{
    if (zmq_msg_recv(message, socket, 0) < 0)
        fail("zmq_msg_recv");
}

/* REP has the name of who asked for itself; a ROUTER gets it before each request and needs it before each reply. */
static void serve(void *context, int kind, const char *endpoint, const struct load *load)
{
    char bound[256];
    size_t bound_bytes = sizeof bound;
    void *socket = open_socket(context, kind);
    if (zmq_bind(socket, endpoint) != 0)
        fail("zmq_bind");
    if (zmq_getsockopt(socket, ZMQ_LAST_ENDPOINT, bound, &bound_bytes) != 0)
        fail("zmq_getsockopt");
    fprintf(stderr, "bound %s\n", bound);

    zmq_msg_t name, message;
    if (zmq_msg_init(&name) != 0 || zmq_msg_init(&message) != 0)
        fail("zmq_msg_init");
    double start = 0;
    for (uint64_t index = 0; index < load->count; index++) {
        if (kind == ZMQ_ROUTER)
            receive(&name, socket);
        receive(&message, socket);
        if (index == 0)
            start = now();
        check(&message, load->size, index);
        if (kind == ZMQ_ROUTER && zmq_msg_send(&name, socket, ZMQ_SNDMORE) < 0)
            fail("zmq_msg_send");
        if (zmq_msg_send(&message, socket, 0) < 0)
            fail("zmq_msg_send");
    }
    double seconds = now() - start;
    close_socket(socket, context);
    printf("{\"seconds\": %.9f}\n", seconds);
}

static int by_time(const void *one, const void *other)
{
    double difference = *(const double *)one - *(const double *)other;
    return (difference > 0) - (difference < 0);
}

/* One after the other, and how long each took. */
static void ask_singly(void *socket, const struct load *load)
{
    double *times = malloc(load->count * sizeof *times);
    if (times == NULL) {
        fprintf(stderr, "no memory for %" PRIu64 " times\n", load->count);
        exit(1);
    }
    zmq_msg_t reply;
    if (zmq_msg_init(&reply) != 0)
        fail("zmq_msg_init");
    for (uint64_t index = 0; index < load->count; index++) {
        double start = now();
        send_request(socket, load->size, index);
        receive(&reply, socket);
        times[index] = now() - start;
        check(&reply, load->size, index);
    }
    zmq_msg_close(&reply);
    qsort(times, load->count, sizeof *times, by_time);
    printf("{\"latency\": {\"p50_us\": %.3f}}\n", times[(load->count - 1) / 2] * 1e6);
    free(times);
}

/* Replies of one server come in the order of the requests. */
static void ask_many(void *socket, const struct load *load)
{
    zmq_msg_t reply;
    if (zmq_msg_init(&reply) != 0)
        fail("zmq_msg_init");
    uint64_t sent = 0;
    double start = now();
    for (uint64_t index = 0; index < load->count; index++) {
        for (; sent < load->count && sent < index + load->outstanding; sent++)
            send_request(socket, load->size, sent);
        receive(&reply, socket);
        check(&reply, load->size, index);
    }
    double seconds = now() - start;
    zmq_msg_close(&reply);
    printf("{\"seconds\": %.9f}\n", seconds);
}

int main(int argc, char **argv)
{
    struct load load = {0, 0, 1};
    int is_dealer = argc == 6 && strcmp(argv[1], "dealer") == 0;
    if (argc != 5 && !is_dealer) {
        fprintf(stderr, "usage: zmq_req_rep (req|rep|router) ENDPOINT COUNT SIZE | dealer ENDPOINT COUNT SIZE OUTSTANDING\n");
        return 2;
    }
    load.count = strtoull(argv[3], NULL, 10);
    load.size = strtoull(argv[4], NULL, 10);
    if (is_dealer)
        load.outstanding = strtoull(argv[5], NULL, 10);
    if (load.count == 0 || load.outstanding == 0 || load.size < WORD_BYTES || load.size % WORD_BYTES != 0) {
        fprintf(stderr, "COUNT and OUTSTANDING are at least 1, and SIZE a multiple of %d\n", WORD_BYTES);
        return 2;
    }
    /* The default of one I/O thread. */
    void *context = zmq_ctx_new();
    if (context == NULL)
        fail("zmq_ctx_new");
    if (strcmp(argv[1], "rep") == 0 || strcmp(argv[1], "router") == 0) {
        serve(context, argv[1][1] == 'e' ? ZMQ_REP : ZMQ_ROUTER, argv[2], &load);
        return 0;
    }
    void *socket = open_socket(context, is_dealer ? ZMQ_DEALER : ZMQ_REQ);
    if (zmq_connect(socket, argv[2]) != 0)
        fail("zmq_connect");
    if (is_dealer)
        ask_many(socket, &load);
    else
        ask_singly(socket, &load);
    close_socket(socket, context);
    return 0;
}
