// SPDX-License-Identifier: GPL-2.0
/* A 16550A: see serial.h. Register names are those of <linux/serial_reg.h>. */
#include <linux/serial_reg.h>
#include <stdlib.h>
#include <string.h>

#include "serial.h"

#define IER_MASK	(UART_IER_MSI | UART_IER_RLSI | UART_IER_THRI | UART_IER_RDI)
#define MCR_MASK	0x1f
#define IIR_FIFO	0xc0

struct serial {
	const struct serial_ops *ops;
	void *arg;
	uint8_t ier, fcr, lcr, mcr, scr, dll, dlm;
	uint8_t rx[SERIAL_FIFO];
	unsigned int rx_head, rx_count;
	bool thre_pending;
	bool tx_wait;		/* the console has no room */
	bool rts_seen;
	bool line;
};

static unsigned int rx_size(const struct serial *s)
{
	return s->fcr & UART_FCR_ENABLE_FIFO ? SERIAL_FIFO : 1;
}

static unsigned int rx_trigger(const struct serial *s)
{
	static const uint8_t level[] = { 1, 4, 8, 14 };

	return s->fcr & UART_FCR_ENABLE_FIFO ? level[s->fcr >> 6] : 1;
}

static uint8_t pending(const struct serial *s)
{
	if ((s->ier & UART_IER_RDI) && s->rx_count)
		/* Below the trigger the chip waits four characters; we don't. */
		return s->rx_count >= rx_trigger(s) ? UART_IIR_RDI :
		       UART_IIR_RX_TIMEOUT;
	if ((s->ier & UART_IER_THRI) && s->thre_pending)
		return UART_IIR_THRI;
	return UART_IIR_NO_INT;
}

static void update_irq(struct serial *s)
{
	/* On a PC, OUT2 connects the chip to its interrupt line. */
	bool level = pending(s) != UART_IIR_NO_INT &&
		     (s->mcr & UART_MCR_OUT2) && !(s->mcr & UART_MCR_LOOP);

	if (level == s->line)
		return;
	s->line = level;
	s->ops->irq(s->arg, level);
}

static void rx_push(struct serial *s, uint8_t c)
{
	if (s->rx_count == rx_size(s))
		return;
	s->rx[(s->rx_head + s->rx_count++) % SERIAL_FIFO] = c;
}

static void rx_clear(struct serial *s)
{
	s->rx_head = 0;
	s->rx_count = 0;
}

/**
 * serial_rx_room() - how many bytes of input the guest takes now
 * @s: chip
 *
 * None before its driver listens (a probe would throw them away), and none
 * while RTS asks the other side to wait, once the driver has used RTS.
 */
size_t serial_rx_room(const struct serial *s)
{
	if (!(s->ier & UART_IER_RDI) || (s->mcr & UART_MCR_LOOP) ||
	    (s->rts_seen && !(s->mcr & UART_MCR_RTS)))
		return 0;
	return rx_size(s) - s->rx_count;
}

/**
 * serial_rx() - input for the guest
 * @s: chip
 * @p: bytes
 * @n: at most serial_rx_room()
 */
void serial_rx(struct serial *s, const uint8_t *p, size_t n)
{
	while (n--)
		rx_push(s, *p++);
	update_irq(s);
}

/**
 * serial_tx_ready() - the console has room again
 * @s: chip
 */
void serial_tx_ready(struct serial *s)
{
	if (!s->tx_wait || !s->ops->tx_room(s->arg))
		return;
	s->tx_wait = false;
	s->thre_pending = true;
	update_irq(s);
}

static void transmit(struct serial *s, uint8_t c)
{
	s->thre_pending = false;
	if (s->mcr & UART_MCR_LOOP) {
		rx_push(s, c);
		s->thre_pending = true;
		return;
	}
	s->ops->tx(s->arg, c);
	if (s->ops->tx_room(s->arg))
		s->thre_pending = true;
	else
		s->tx_wait = true;
}

static void write_fcr(struct serial *s, uint8_t v)
{
	if ((v ^ s->fcr) & UART_FCR_ENABLE_FIFO)
		rx_clear(s);
	if (v & UART_FCR_CLEAR_RCVR)
		rx_clear(s);
	s->fcr = v & (UART_FCR_ENABLE_FIFO | UART_FCR_TRIGGER_MASK);
}

static void serial_write(struct serial *s, unsigned int reg, uint8_t v)
{
	bool dlab = s->lcr & UART_LCR_DLAB;

	switch (reg) {
	case UART_TX:
		if (dlab)
			s->dll = v;
		else
			transmit(s, v);
		break;
	case UART_IER:
		if (dlab) {
			s->dlm = v;
			break;
		}
		/* Asking for it while the transmitter is empty gives it. */
		if ((v & ~s->ier & UART_IER_THRI) && !s->tx_wait)
			s->thre_pending = true;
		s->ier = v & IER_MASK;
		break;
	case UART_FCR:
		write_fcr(s, v);
		break;
	case UART_LCR:
		s->lcr = v;
		break;
	case UART_MCR:
		s->mcr = v & MCR_MASK;
		if (v & UART_MCR_RTS)
			s->rts_seen = true;
		break;
	case UART_SCR:
		s->scr = v;
		break;
	default:
		break;
	}
}

static uint8_t read_rx(struct serial *s)
{
	uint8_t c;

	if (!s->rx_count)
		return 0;
	c = s->rx[s->rx_head];
	s->rx_head = (s->rx_head + 1) % SERIAL_FIFO;
	s->rx_count--;
	return c;
}

static uint8_t read_iir(struct serial *s)
{
	uint8_t iir = pending(s);

	if (iir == UART_IIR_THRI)
		s->thre_pending = false;
	return iir | (s->fcr & UART_FCR_ENABLE_FIFO ? IIR_FIFO : 0);
}

static uint8_t read_msr(const struct serial *s)
{
	uint8_t msr = 0;

	if (!(s->mcr & UART_MCR_LOOP))
		return UART_MSR_DCD | UART_MSR_DSR | UART_MSR_CTS;
	if (s->mcr & UART_MCR_RTS)
		msr |= UART_MSR_CTS;
	if (s->mcr & UART_MCR_DTR)
		msr |= UART_MSR_DSR;
	if (s->mcr & UART_MCR_OUT1)
		msr |= UART_MSR_RI;
	if (s->mcr & UART_MCR_OUT2)
		msr |= UART_MSR_DCD;
	return msr;
}

static uint8_t serial_read(struct serial *s, unsigned int reg)
{
	bool dlab = s->lcr & UART_LCR_DLAB;

	switch (reg) {
	case UART_RX:
		return dlab ? s->dll : read_rx(s);
	case UART_IER:
		return dlab ? s->dlm : s->ier;
	case UART_IIR:
		return read_iir(s);
	case UART_LCR:
		return s->lcr;
	case UART_MCR:
		return s->mcr;
	case UART_LSR:
		return (s->rx_count ? UART_LSR_DR : 0) |
		       (s->tx_wait ? 0 : UART_LSR_THRE | UART_LSR_TEMT);
	case UART_MSR:
		return read_msr(s);
	default:
		return s->scr;
	}
}

/**
 * serial_access() - the chip's eight ports
 * @arg: chip
 * @off: register
 * @data: byte
 * @len: only single bytes reach the chip
 * @write: direction
 */
void serial_access(void *arg, uint64_t off, uint8_t *data, unsigned int len,
		   bool write)
{
	struct serial *s = arg;
	size_t room = serial_rx_room(s);

	if (len != 1)
		return;
	if (write)
		serial_write(s, off, *data);
	else
		*data = serial_read(s, off);
	update_irq(s);
	/* Ask for input when the guest has emptied or reset the FIFO, or listens anew. */
	if (serial_rx_room(s) && (write ? serial_rx_room(s) > room : off == UART_RX && !s->rx_count))
		s->ops->rx_ready(s->arg);
}

struct serial *serial_create(const struct serial_ops *ops, void *arg)
{
	struct serial *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->ops = ops;
	s->arg = arg;
	s->dll = 1;		/* 115200 */
	s->thre_pending = true;
	return s;
}

void serial_destroy(struct serial *s)
{
	free(s);
}
