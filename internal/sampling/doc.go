// Package sampling keeps a flood out of a log: of what repeats, some lines are written, and the rest is counted.
package sampling
