/* SPDX-License-Identifier: GPL-2.0 */
/* lhv - what debugfs shows */
#ifndef LHV_DEBUGFS_H
#define LHV_DEBUGFS_H

void lhv_debugfs_init(void);
void lhv_debugfs_exit(void);

#endif
