// Writes the SAS data sets of this folder from made-up data with ReadStat 1.1.8:
// cc -o sas sas.c -lreadstat && for c in 0 1; do for b in 0 1; do ./sas sas$c$b.sas7bdat $c $b 60; done; done
// Arguments: file, run-length encoding, 64 bit, rows. sas_test.go has what must be read.
#include <readstat.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <fcntl.h>
#include <unistd.h>
static ssize_t wr(const void*b,size_t n,void*c){return write(*(int*)c,b,n);}
int main(int ac,char**av){ // out compress is64 rows
 int fd=open(av[1],O_CREAT|O_TRUNC|O_WRONLY,0644); int rows=atoi(av[4]);
 readstat_writer_t*w=readstat_writer_init(); readstat_set_data_writer(w,wr);
 readstat_writer_set_file_format_is_64bit(w,atoi(av[3]));
 readstat_writer_set_compression(w,atoi(av[2])?READSTAT_COMPRESS_ROWS:READSTAT_COMPRESS_NONE);
 readstat_variable_t*id=readstat_add_variable(w,"id",READSTAT_TYPE_STRING,12);
 readstat_variable_t*x=readstat_add_variable(w,"x",READSTAT_TYPE_DOUBLE,0);
 readstat_variable_t*day=readstat_add_variable(w,"day",READSTAT_TYPE_DOUBLE,0);
 readstat_variable_set_format(day,"DATE9."); readstat_variable_set_label(x,"a number");
 readstat_variable_t*s=readstat_add_variable(w,"note",READSTAT_TYPE_STRING,40);
 readstat_error_t e=readstat_begin_writing_sas7bdat(w,&fd,rows); if(e)printf("%s\n",readstat_error_message(e));
 for(int i=0;i<rows;i++){ char b[64]; readstat_begin_row(w); sprintf(b,i%3?"a%d":"\xc3\xa5%d",i+1); readstat_insert_string_value(w,id,b);
  if(i%5==2)readstat_insert_missing_value(w,x); else if (i%5==3) readstat_insert_tagged_missing_value(w,x,'A'); else readstat_insert_double_value(w,x,(i-3)/7.0);
  if(i%4==3)readstat_insert_missing_value(w,day); else readstat_insert_double_value(w,day,i*37-400);
  memset(b,0,64); for(int k=0;k<i%40;k++)b[k]=k<20?'z':' '+(i+k)%90; if(i%7==0)strcpy(b,""); readstat_insert_string_value(w,s,b);
  readstat_end_row(w);} 
 e=readstat_end_writing(w); if(e)printf("%s\n",readstat_error_message(e)); return 0;}
