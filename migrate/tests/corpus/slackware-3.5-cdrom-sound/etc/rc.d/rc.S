#!/bin/sh
[ -x /sbin/kerneld ] && /sbin/kerneld delay=120
