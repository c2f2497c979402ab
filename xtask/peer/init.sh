#!/bin/sh
# First process of the Linux peer.
export PATH=/bin:/sbin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mount -t tmpfs tmp /tmp
mkdir -p /dev/shm
mount -t tmpfs shm /dev/shm
for module in failover net_failover virtio_ring virtio virtio_pci_legacy_dev virtio_pci_modern_dev virtio_pci virtio_net; do
    insmod /lib/modules/$module.ko 2>/dev/null
done
ip link set lo up
ip addr add 10.0.2.15/24 dev eth0
ip link set eth0 up
ip route add default via 10.0.2.2
sysctl -w net.core.somaxconn=4096 net.ipv4.tcp_max_syn_backlog=4096 net.ipv4.tcp_tw_reuse=1 >/dev/null
chmod 777 /tmp /run
nginx -c /etc/nginx.conf
apache2 -f /etc/httpd.conf
sleep 1
for program in nginx apache2; do
    ps | grep -v grep | grep -q $program || echo "PEER-FAILED $program did not start"
done
echo "PEER-READY"
exec sleep 1000000
