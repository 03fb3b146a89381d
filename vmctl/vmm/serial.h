/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A 16550A, the guest's ttyS0. Nothing is lost either way: the transmitter
 * waits while the console has no room, and the console reads no input while
 * the receiver can't take it.
 */
#ifndef VMM_SERIAL_H
#define VMM_SERIAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SERIAL_FIFO	16U

struct serial;

/**
 * struct serial_ops - the world around the chip
 * @irq: drive the interrupt line
 * @tx_room: can a whole FIFO be sent without waiting?
 * @tx: send one byte
 * @rx_ready: there's room for input again
 */
struct serial_ops {
	void (*irq)(void *arg, bool level);
	bool (*tx_room)(void *arg);
	void (*tx)(void *arg, uint8_t c);
	void (*rx_ready)(void *arg);
};

struct serial *serial_create(const struct serial_ops *ops, void *arg);
void serial_destroy(struct serial *s);
void serial_access(void *arg, uint64_t off, uint8_t *data, unsigned int len,
		   bool write);
size_t serial_rx_room(const struct serial *s);
void serial_rx(struct serial *s, const uint8_t *p, size_t n);
void serial_tx_ready(struct serial *s);

#endif
