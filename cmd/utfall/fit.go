package main

import "github.com/spf13/cobra"

func (a *app) fitCmd() *cobra.Command { return &cobra.Command{Use: "fit METHOD"} }
