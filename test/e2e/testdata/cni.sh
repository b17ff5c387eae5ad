#!/bin/sh
# A CNI plugin, loopback and network in one: a pod has an address of its own that leads
# nowhere, and the machine's network stays as it is.
set -e
inside() { nsenter --net="$CNI_NETNS" ip "$@" >&2; }
case $CNI_COMMAND in
ADD)
	address=127.0.0.1/8
	if [ "$CNI_IFNAME" = lo ]; then
		inside link set lo up
	else
		address=10.88.0.2/24
		inside link add "$CNI_IFNAME" type veth peer name other
		inside addr add $address dev "$CNI_IFNAME"
		inside link set other up
		inside link set "$CNI_IFNAME" up
	fi
	echo '{"cniVersion":"0.3.1","interfaces":[{"name":"'"$CNI_IFNAME"'","sandbox":"'"$CNI_NETNS"'"}],"ips":[{"version":"4","address":"'$address'","interface":0}],"dns":{}}'
	;;
VERSION) echo '{"cniVersion":"0.3.1","supportedVersions":["0.3.1"]}' ;;
esac
