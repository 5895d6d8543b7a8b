#!/bin/sh
# The init of both kernels: loads the capture kernel and panics in the first, saves /proc/vmcore in the second.
# Settings are in /etc/kdump-lab.conf. What it tells the host begins with "kdump-lab: ", one line each:
#   phase=NAME uptime=SECONDS    a phase begins (uptime of this kernel)
#   note=CODE TEXT               something was worked around
#   fail=CODE TEXT               the flow ends here
# Commands that are not built into the shell cost a fork and an exec: there are few of them.

phase() {
  read -r uptime _ < /proc/uptime
  echo "kdump-lab: phase=$1 uptime=$uptime"
}

note() {
  echo "kdump-lab: note=$*"
}

fail() {
  echo "kdump-lab: fail=$*"
  sync
  poweroff -f
  sleep 60
}

load_modules() {
  for module in "$@"; do
    insmod "/lib/modules/$module.ko" || fail "module cannot load the module $module"
  done
}

wait_for_disk() {
  tries=0
  until [ -b "$DISK" ]; do
    tries=$((tries + 1))
    [ $tries -le 50 ] || fail "disk the kernel found no disk $DISK"
    sleep 0.1
  done
}

# How much memory the capture kernel has left: by this crashkernel= is sized.
memory() {
  while read -r name size _; do
    case $name in
      MemTotal:) total=$size ;;
      MemAvailable:) break ;;
    esac
  done < /proc/meminfo
  echo "kdump-lab: memory=$1 $total $size"
}

# Something for 'ps' to show.
start_users() {
  sleep 86400 &
  (trap '' HUP; while :; do sleep 3600; done) &
  mkfifo /tmp/pipe
  cat /tmp/pipe > /dev/null &
}

# kexec-tools for arm64 works out PAGE_OFFSET and the kernel's place from _text, _stext and __init_begin in /proc/kallsyms. Kernels
# without CONFIG_KALLSYMS_ALL show no _text; kexec then loads an ELF core header full of nonsense and still exits 0.
# The image begins 64 KiB before _stext (SEGMENT_ALIGN), and "Kernel code" in /proc/iomem goes from _stext to __init_begin.
repair_kallsyms() {
  lines=0
  while read -r address _ symbol; do
    [ "$symbol" != _text ] || return
    [ "$symbol" != _stext ] || break
    lines=$((lines + 1))
    [ $lines -lt 64 ] || return
  done < /proc/kallsyms
  while read -r range _ what; do
    [ "$what" != 'Kernel code' ] || break
  done < /proc/iomem
  printf '%016x T _text\n%016x T _stext\n%016x T __init_begin\n' $((0x$address - 0x10000)) $((0x$address)) \
    $((0x$address + 0x${range#*-} + 1 - 0x${range%-*})) > /tmp/kallsyms
  mount --bind /tmp/kallsyms /proc/kallsyms && repaired=yes
  note "kallsyms no _text in /proc/kallsyms: kexec gets a file with the three symbols that it needs"
}

load_capture_kernel() {
  read -r size < /sys/kernel/kexec_crash_size
  echo "kdump-lab: reserved=$size"
  [ "$size" != 0 ] || fail "crashkernel the kernel reserved no memory for a capture kernel (see crashkernel= and its log)"
  repaired=no
  [ "$REPAIR_KALLSYMS" != yes ] || repair_kallsyms
  kexec $KEXEC_OPTIONS --command-line="$CAPTURE_COMMAND_LINE" --initrd=/boot/capture.cpio /boot/kernel
  status=$?
  [ $repaired = no ] || umount /proc/kallsyms
  read -r loaded < /sys/kernel/kexec_crash_loaded
  [ "$loaded" = 1 ] || fail "kexec no capture kernel is loaded: kexec exited with $status ($size bytes are reserved)"
}

production() {
  phase production-init
  load_modules $MODULES $PRODUCTION_MODULES
  wait_for_disk
  [ "$USERS" != yes ] || start_users
  echo 1 > /proc/sys/kernel/sysrq
  if [ "$LOAD_CAPTURE_KERNEL" = yes ]; then
    phase kexec-load
    load_capture_kernel
  fi
  phase panic
  eval "$PANIC"
  sleep 10
  fail "panic the kernel lives on after: $PANIC"
}

# The program that a command names: busybox's shell would take its own one first.
program() {
  if [ -x "/bin/${1%% *}" ]; then echo "/bin/$1"; else echo "$1"; fi
}

# Runs a collector, $1, to write the file $2; dd has its own way of being told.
# dd past the page cache costs half of what cp does: the dump would pass through a cache that the small kernel has no room for.
collect() {
  case $1 in
    dd) dd if=/proc/vmcore of="$2" bs=1M oflag=direct ;;
    dd\ *) $(program "$1") if=/proc/vmcore of="$2" ;;
    *) $(program "$1") /proc/vmcore "$2" ;;
  esac
}

save() {
  collect "$1" /mnt/vmcore.incomplete && mv /mnt/vmcore.incomplete /mnt/vmcore
}

# What kdump.conf asks for. /mnt is the target; with none, the disk stands for the root file system.
kdump_device() {
  case $KDUMP_DEVICE in
    UUID=* | LABEL=*) findfs "$KDUMP_DEVICE" ;;
    *) echo "$KDUMP_DEVICE" ;;
  esac
}

kdump_save_filesystem() {
  device=$(kdump_device) && mount -t ext4 "$device" /mnt && kdump_save_mounted 127.0.0.1 "$device"
}

start_network() {
  ifconfig lo 127.0.0.1 up
  ifconfig eth0 "$KDUMP_ADDRESS" netmask "$KDUMP_MASK" up && route add default gw "$KDUMP_ROUTER"
}

kdump_save_nfs() {
  start_network && mount.nfs "$KDUMP_REMOTE" /mnt -o nolock && kdump_save_mounted "$KDUMP_ADDRESS" "$KDUMP_REMOTE" &&
    saved="nfs $KDUMP_REMOTE$saved"
}

# Saves to what is mounted on /mnt. kdump names folders by the machine's address, $1; $2 is the target.
kdump_save_mounted() {
  folder="$KDUMP_PATH/$1-$(date +%Y-%m-%d-%T)"
  echo "kdump: saving to $folder on $2"
  # A file need not be flattened: the collector may be one for another target.
  case $COLLECTOR in *makedumpfile*\ -F*) COLLECTOR="${COLLECTOR%%\ -F*}${COLLECTOR#*\ -F}" ;; esac
  mkdir -p "/mnt$folder" || return 1
  # Every run has the same date: what one has left unfinished on a server is in the way of the next.
  rm -f "/mnt$folder/vmcore-incomplete"
  makedumpfile --dump-dmesg /proc/vmcore "/mnt$folder/vmcore-dmesg.txt" > /dev/null 2>&1 &&
    echo 'kdump: vmcore-dmesg.txt is saved'
  collect "$COLLECTOR" "/mnt$folder/vmcore-incomplete" && sync &&
    mv "/mnt$folder/vmcore-incomplete" "/mnt$folder/vmcore" && saved="$folder/vmcore"
  status=$?
  umount /mnt && return $status
}

# Writes the dump as a stream: makedumpfile -F does, and others write the whole of /proc/vmcore.
stream() {
  case $COLLECTOR in
    dd | cp | cp\ *) dd if=/proc/vmcore bs=1M ;;
    dd\ *) $(program "$COLLECTOR") if=/proc/vmcore ;;
    *) $(program "$COLLECTOR") /proc/vmcore ;;
  esac || : > /tmp/collector-failed
}

kdump_save_raw() {
  device=$(kdump_device)
  echo "kdump: saving to the raw disk $device"
  case $COLLECTOR in
    dd | cp | cp\ *) dd if=/proc/vmcore of="$device" bs=1M ;;
    dd\ *) collect "$COLLECTOR" "$device" ;;
    *) stream | dd of="$device" bs=1M iflag=fullblock conv=fsync && [ ! -e /tmp/collector-failed ] ;;
  esac && sync && saved=raw
}

remote() {
  ssh -q $SSH_OPTIONS "$KDUMP_REMOTE" "$1"
}

kdump_save_ssh() {
  folder="$KDUMP_PATH/$KDUMP_ADDRESS-$(date +%Y-%m-%d-%T)"
  echo "kdump: saving to $KDUMP_REMOTE:$folder"
  start_network && remote "mkdir -p '$folder'" < /dev/null || return 1
  makedumpfile --dump-dmesg /proc/vmcore /tmp/dmesg > /dev/null 2>&1 &&
    remote "umask 0077 && cat > '$folder/vmcore-dmesg.txt'" < /tmp/dmesg && echo 'kdump: vmcore-dmesg.txt is saved'
  name=vmcore
  case $COLLECTOR in
    scp | scp\ *) $COLLECTOR -q $SSH_OPTIONS /proc/vmcore "$KDUMP_REMOTE:$folder/vmcore-incomplete" ;;
    *)
      case $COLLECTOR in *makedumpfile*) name=vmcore.flat ;; esac
      stream | remote "umask 0077 && cat > '$folder/vmcore-incomplete'" && [ ! -e /tmp/collector-failed ]
      ;;
  esac && remote "mv '$folder/vmcore-incomplete' '$folder/$name'" < /dev/null &&
    saved="ssh $KDUMP_REMOTE:$folder/$name"
}

kdump_act() {
  echo "kdump: $1: $2"
  sync
  case $2 in
    reboot) reboot -f ;;
    halt) halt -f ;;
    poweroff) poweroff -f ;;
  esac
  sleep 60
}

# A shell needs somebody at the console; a run has nobody there.
kdump_fail() {
  case $FAILURE_ACTION in
    dump_to_rootfs)
      note "kdump failure_action dump_to_rootfs: saving to the root file system"
      KDUMP_DEVICE=$DISK
      kdump_save_filesystem && return
      ;;
    shell)
      echo "kdump-lab: fail=kdump $1 (failure_action shell: nobody is at the console)"
      kdump_act 'final_action' poweroff
      ;;
  esac
  echo "kdump-lab: fail=kdump $1"
  [ "$FAILURE_ACTION" = dump_to_rootfs ] || kdump_act failure_action "$FAILURE_ACTION"
  kdump_act final_action "$FINAL_ACTION"
}

kdump() {
  if [ -n "$KDUMP_PRE" ] && ! "$KDUMP_PRE"; then
    echo "kdump-lab: fail=kdump kdump_pre $KDUMP_PRE failed: nothing is saved"
    kdump_act final_action "$FINAL_ACTION"
  fi
  phase save
  saved=
  "kdump_save_$KDUMP_TARGET"
  status=$?
  [ -z "$KDUMP_POST" ] || "$KDUMP_POST" $status || note "kdump kdump_post $KDUMP_POST failed"
  [ $status = 0 ] || kdump_fail 'the dump could not be saved'
  echo "kdump-lab: collector=$COLLECTOR"
  echo "kdump-lab: saved=$saved"
  memory after
  phase saved
  kdump_act final_action "$FINAL_ACTION"
}

capture() {
  phase capture-init
  load_modules $MODULES
  for module in $EXTRA_MODULES; do
    insmod "/lib/modules/$module.ko" || note "kdump extra_modules: $module cannot be loaded"
  done
  wait_for_disk
  memory before
  [ -z "$COLLECTOR_NOTE" ] || note "$COLLECTOR_NOTE"
  [ -z "$KDUMP_TARGET" ] || kdump
  mount -t ext4 "$DISK" /mnt || fail "disk cannot mount $DISK"
  phase save
  if save "$COLLECTOR"; then
    collector=$COLLECTOR
  else
    note "collector $COLLECTOR failed: saving the whole of /proc/vmcore with dd"
    collector=dd
    save dd || fail "save cannot save /proc/vmcore: is the disk full?"
  fi
  echo "kdump-lab: collector=$collector"
  memory after
  umount /mnt || fail "disk cannot unmount $DISK"
  phase saved
  poweroff -f
  sleep 60
}

export PATH=/bin:/sbin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
. /etc/kdump-lab.conf
if [ -e /proc/vmcore ]; then
  capture
else
  production
fi
