// Package cdc is the doorbell.
package cdc
