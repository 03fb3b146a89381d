/* SPDX-License-Identifier: GPL-2.0 */
/* lhv - /dev/lhv */
#ifndef LHV_CHARDEV_H
#define LHV_CHARDEV_H

int lhv_chardev_init(void);
void lhv_chardev_open(void);
void lhv_chardev_exit(void);

#endif
