/* One side of a measurement of libzmq's requests: `req ENDPOINT COUNT SIZE` to `rep`, with the same words, or
 * `dealer ENDPOINT COUNT SIZE OUTSTANDING` to `router`.
 *
 * The server binds, says `bound ENDPOINT` on stderr, checks every byte of every request and sends it back. REQ asks one by
 * one and measures each; DEALER keeps so many requests outstanding. Both check every byte of every reply. Each side prints
 * one line of JSON at its end. */

#include "measure.h"

struct load {
    uint64_t count;
    size_t size;
    uint64_t outstanding;
};

/* Without high-water marks: what is outstanding is bounded by the client, and a ROUTER would drop what finds a queue full. */
static void *open_socket(void *context, int kind)
{
    void *socket = new_socket(context, kind);
    set_int(socket, ZMQ_SNDHWM, 0);
    set_int(socket, ZMQ_RCVHWM, 0);
    return socket;
}

/* REP has the name of who asked for itself; a ROUTER gets it before each request and needs it before each reply. */
static void serve(void *context, int kind, const char *endpoint, const struct load *load)
{
    void *socket = open_socket(context, kind);
    bind_socket(socket, endpoint);

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
    close_socket(socket);
    end_context(context);
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
        send_message(socket, load->size, index);
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
            send_message(socket, load->size, sent);
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
    void *context = new_context();
    if (strcmp(argv[1], "rep") == 0 || strcmp(argv[1], "router") == 0) {
        serve(context, argv[1][1] == 'e' ? ZMQ_REP : ZMQ_ROUTER, argv[2], &load);
        return 0;
    }
    void *socket = open_socket(context, is_dealer ? ZMQ_DEALER : ZMQ_REQ);
    connect_socket(socket, argv[2]);
    if (is_dealer)
        ask_many(socket, &load);
    else
        ask_singly(socket, &load);
    close_socket(socket);
    end_context(context);
    return 0;
}
