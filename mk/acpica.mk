# ACPICA, which powerd runs the firmware's AML with: sources of the distribution's kernel package, compiled as they are.
# Its warnings are its authors' business.

ACPICA_FLAGS = $(filter-out $(WARNINGS) -I.,$(COMMON)) -w $(NO_VECTORS) -fno-pie -fno-stack-protector -DACPI_USE_LOCAL_CACHE -DACPI_PCI_CONFIGURED \
    -I../include

$(O)/acpica/.done: tools/acpica
	$(call quiet,SOURCES,$(@D))mkdir -p $(O) && tools/acpica sources $(O) && touch $@
$(O)/libacpica.a: $(O)/acpica/.done $(O)/flags
	$(call quiet,LIBRARY,$@)tools/acpica library $(O) $(MUSL_CC) $(ACPICA_FLAGS)

$(call objects,user,$(wildcard sbin/powerd/*.c)): private USER_FLAGS += -isystem $(O)/acpica/include -DACPI_USE_LOCAL_CACHE -DACPI_PCI_CONFIGURED
$(call objects,user,$(wildcard sbin/powerd/*.c)): | $(O)/acpica/.done
