#!/bin/sh
/sbin/swapon -a
if [ -x /sbin/kerneld ]; then /sbin/kerneld; fi
/sbin/depmod -a
