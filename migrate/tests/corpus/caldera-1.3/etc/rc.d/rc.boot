#!/bin/sh
/sbin/kerneld keep
/sbin/insmod ncpfs
