# SPDX-License-Identifier: GPL-2.0
#
# gnuplot -e "data='FOLDER'; out='FOLDER'" plots.gp: what simulate wrote, as pictures.

set terminal svg size 640,360 dynamic font "sans,12" background "white" name "lhv"
policies = "fcfs sjf prio rr credit gang edf"
policy(i) = word(policies, i)
set style fill solid .8 noborder
set boxwidth .7
set grid y
set key outside right top

set output out."/jobs.svg"
set title "40 jobs of 1 to 40 ms at once, one CPU: mean turnaround"
set ylabel "ms"
set yrange [0:*]
plot data."/jobs.dat" using 2:xtic(1) with boxes title "policy", \
     "" using 3 with lines lw 2 title "least there is"

set output out."/shares.svg"
set title "Weights 100, 200, 400, one CPU: shares"
set ylabel "%"
set yrange [0:100]
set style data histograms
plot data."/shares.dat" using 2:xtic(1) title "100", "" using 3 title "200", "" using 4 title "400", \
     100 / 7. dashtype 2 lc 1 title "ideal", 200 / 7. dashtype 2 lc 2 notitle, 400 / 7. dashtype 2 lc 3 notitle

set output out."/locks.svg"
set title "3 VMs of 4 vCPUs with a spinlock each, 4 CPUs: critical sections in 10 s"
set ylabel "thousands"
set yrange [0:*]
plot data."/locks.dat" using ($2 / 1000):xtic(1) with boxes notitle

set output out."/deadlines.svg"
set title "Periodic jobs beside two vCPUs that spin, one CPU: late ones"
set xlabel "load, % of the CPU (edf refuses more than 100)"
set ylabel "%"
set yrange [-5:105]
plot for [i = 0:6] data."/deadlines.dat" index i using 1:2 with linespoints lw 2 title policy(i + 1)

set logscale x 2
set xlabel "CPUs, with 98 vCPUs each"
set xtics ("1" 1, "4" 4, "16" 16, "64" 64, "256" 256, "1,024" 1024)
set output out."/scale-fairness.svg"
set title "Up to 100,000 vCPUs: Jain's index of fairness"
unset ylabel
set yrange [0:1.05]
plot for [i = 0:6] data."/scale.dat" index i using 1:2 with linespoints lw 2 title policy(i + 1)

set output out."/scale-response.svg"
set title "Up to 100,000 vCPUs: mean time from wake-up to entry"
set ylabel "ms"
set yrange [*:*]
set logscale y
plot for [i = 0:6] data."/scale.dat" index i using 1:3 with linespoints lw 2 title policy(i + 1)
