// SPDX-License-Identifier: GPL-2.0
/* The 16550A as Linux's driver probes and uses it. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <linux/serial_reg.h>
#include <string.h>

#include "../vmm/serial.h"

static struct world {
	bool irq, room;
	unsigned int sent, ready;
	uint8_t last;
} w;

static void on_irq(void *arg, bool level)
{
	(void)arg;
	w.irq = level;
}

static bool on_room(void *arg)
{
	(void)arg;
	return w.room;
}

static void on_tx(void *arg, uint8_t c)
{
	(void)arg;
	w.sent++;
	w.last = c;
}

static void on_ready(void *arg)
{
	(void)arg;
	w.ready++;
}

static const struct serial_ops ops = { on_irq, on_room, on_tx, on_ready };

static int setup(void **state)
{
	w = (struct world){ .room = true };
	*state = serial_create(&ops, NULL);
	return *state ? 0 : -1;
}

static int teardown(void **state)
{
	serial_destroy(*state);
	return 0;
}

static void out(void *s, unsigned int reg, uint8_t v)
{
	serial_access(s, reg, &v, 1, true);
}

static uint8_t in(void *s, unsigned int reg)
{
	uint8_t v = 0xff;

	serial_access(s, reg, &v, 1, false);
	return v;
}

/* As the driver has it when its port is open. */
static void open_port(void *s)
{
	out(s, UART_FCR, UART_FCR_ENABLE_FIFO | UART_FCR_R_TRIG_10);
	out(s, UART_MCR, UART_MCR_DTR | UART_MCR_RTS | UART_MCR_OUT2);
	out(s, UART_IER, UART_IER_RDI);
}

static void probe(void **state)
{
	void *s = *state;

	out(s, UART_IER, 0);
	assert_int_equal(in(s, UART_IER), 0);
	out(s, UART_IER, 0x0f);
	assert_int_equal(in(s, UART_IER), 0x0f);
	out(s, UART_IER, 0);
	out(s, UART_MCR, UART_MCR_LOOP | UART_MCR_OUT2 | UART_MCR_RTS);
	assert_int_equal(in(s, UART_MSR) & 0xf0, UART_MSR_DCD | UART_MSR_CTS);
	out(s, UART_MCR, 0);
	out(s, UART_FCR, UART_FCR_ENABLE_FIFO);
	assert_int_equal(in(s, UART_IIR) >> 6, 3);
	out(s, UART_SCR, 0x5a);
	assert_int_equal(in(s, UART_SCR), 0x5a);
	out(s, UART_LCR, UART_LCR_DLAB);
	out(s, UART_DLL, 0x34);
	out(s, UART_DLM, 0x12);
	assert_int_equal(in(s, UART_DLL), 0x34);
	assert_int_equal(in(s, UART_DLM), 0x12);
	out(s, UART_LCR, 0);
	assert_int_equal(in(s, UART_IER), 0);
}

static void loopback(void **state)
{
	void *s = *state;

	out(s, UART_FCR, UART_FCR_ENABLE_FIFO);
	out(s, UART_MCR, UART_MCR_LOOP);
	out(s, UART_TX, 'x');
	assert_int_equal(w.sent, 0);
	assert_true(in(s, UART_LSR) & UART_LSR_DR);
	assert_int_equal(in(s, UART_RX), 'x');
	assert_int_equal(serial_rx_room(s), 0);
}

static void receive(void **state)
{
	uint8_t data[SERIAL_FIFO];
	void *s = *state;
	unsigned int i;

	assert_int_equal(serial_rx_room(s), 0);
	open_port(s);
	assert_int_equal(w.ready, 1);
	assert_int_equal(serial_rx_room(s), SERIAL_FIFO);
	for (i = 0; i < SERIAL_FIFO; i++)
		data[i] = i;
	serial_rx(s, data, 3);
	assert_true(w.irq);
	assert_int_equal(in(s, UART_IIR) & 0x0f, UART_IIR_RX_TIMEOUT);
	serial_rx(s, data + 3, SERIAL_FIFO - 3);
	assert_int_equal(in(s, UART_IIR) & 0x0f, UART_IIR_RDI);
	assert_int_equal(serial_rx_room(s), 0);
	/* More than there's room for is dropped, not written elsewhere. */
	serial_rx(s, data, SERIAL_FIFO);
	for (i = 0; i < SERIAL_FIFO; i++)
		assert_int_equal(in(s, UART_RX), i);
	assert_false(w.irq);
	assert_false(in(s, UART_LSR) & UART_LSR_DR);
	assert_int_equal(w.ready, 2);
}

static void flow_control(void **state)
{
	void *s = *state;

	open_port(s);
	out(s, UART_MCR, UART_MCR_DTR | UART_MCR_OUT2);
	assert_int_equal(serial_rx_room(s), 0);
	w.ready = 0;
	out(s, UART_MCR, UART_MCR_DTR | UART_MCR_OUT2 | UART_MCR_RTS);
	assert_int_equal(w.ready, 1);
	assert_int_equal(serial_rx_room(s), SERIAL_FIFO);
}

static void transmit(void **state)
{
	void *s = *state;

	open_port(s);
	out(s, UART_IER, UART_IER_RDI | UART_IER_THRI);
	assert_true(w.irq);
	assert_int_equal(in(s, UART_IIR) & 0x0f, UART_IIR_THRI);
	assert_false(w.irq);
	out(s, UART_TX, 'a');
	assert_int_equal(w.last, 'a');
	assert_true(w.irq);
	/* No room: the transmitter stays full until there's some. */
	w.room = false;
	out(s, UART_TX, 'b');
	assert_false(w.irq);
	assert_false(in(s, UART_LSR) & UART_LSR_THRE);
	serial_tx_ready(s);
	assert_false(w.irq);
	w.room = true;
	serial_tx_ready(s);
	assert_true(w.irq);
	assert_true(in(s, UART_LSR) & UART_LSR_THRE);
}

static void no_out2_no_interrupt(void **state)
{
	void *s = *state;

	out(s, UART_IER, UART_IER_THRI);
	assert_false(w.irq);
	out(s, UART_MCR, UART_MCR_OUT2);
	assert_true(w.irq);
}

static void clear_fifo(void **state)
{
	void *s = *state;

	open_port(s);
	serial_rx(s, (const uint8_t *)"abc", 3);
	out(s, UART_FCR, UART_FCR_ENABLE_FIFO | UART_FCR_CLEAR_RCVR);
	assert_false(in(s, UART_LSR) & UART_LSR_DR);
	assert_false(w.irq);
	/* What was full and is reset half read takes input again: nobody will read it empty. */
	serial_rx(s, (const uint8_t *)"0123456789abcdef", SERIAL_FIFO);
	in(s, UART_RX);
	w.ready = 0;
	out(s, UART_FCR, UART_FCR_ENABLE_FIFO | UART_FCR_CLEAR_RCVR);
	assert_int_equal(w.ready, 1);
}

static void wide_access(void **state)
{
	uint8_t data[4] = { 0xff, 0xff, 0xff, 0xff };

	serial_access(*state, 0, data, 4, true);
	assert_int_equal(w.sent, 0);
	serial_access(*state, 4, data, 4, false);
	assert_int_equal(data[0], 0xff);
}

int main(void)
{
#define T(f)	cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(probe), T(loopback), T(receive), T(flow_control), T(transmit),
		T(no_out2_no_interrupt), T(clear_fifo), T(wide_access),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
