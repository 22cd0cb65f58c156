module lab.test/traffic

go 1.26
