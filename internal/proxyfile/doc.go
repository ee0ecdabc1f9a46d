// Package proxyfile writes values into the configuration files of proxies: what may stand in one, how it is quoted in the language of
// each program, and which patterns match all spellings of a header's name.
package proxyfile
